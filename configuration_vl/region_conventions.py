"""What a region is in numbers: how wide its feature is, how its box is written, where the whole image stands."""

from __future__ import annotations

OFFICIAL_FEATURE_SIZES = "ViLBERT 2048; VisualBERT 2048 for VQA, 1024 for NLVR2, 512 for VCR, 2054 for Flickr30k"
"""Feature widths that released checkpoints want, for messages."""

LOCATION_SIZES = (4, 5, 7)
"""Known location vectors, all parts normalised by the image size: 4 is x1 y1 x2 y2; 5 adds the area share (ViLBERT); 7
is x1 y1 x2 y2, width, height, area share (VOLTA, `num_locs`)."""

GLOBAL_REGION_PLACES = ("first", "last", None)
"""Where the region that stands for the whole image may lie among an image's regions; None: there is none."""
