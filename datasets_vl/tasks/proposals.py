"""Boxes that a named detector proposes, and whether the regions of images are these boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from processing_vl.boxes_vl import pairwise_iou
from processing_vl.region_features import RegionFeatures

SAME_BOX_IOU = 0.99
"""Overlap from which two boxes are the same one: files of boxes are rounded to a fraction of a pixel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProposalBoxes:
    """Boxes that a named detector proposes: a grounding accuracy means something only together with their source.

    Attributes:
        source: Which detector, in words.
        boxes: Corners x1 y1 x2 y2 in pixels by image id, float32 `[R, 4]`.
    """

    source: str
    boxes: Mapping[str, np.ndarray]

    def check(self, regions: RegionFeatures) -> None:
        """Refuse an image whose regions are not these boxes.

        Every region must be one of the boxes, and every box one of the regions. A global region is left aside.

        Args:
            regions: The image.

        Raises:
            ValueError: Naming the image, and a box that only one side has.
        """
        name = regions.image_id
        if name not in self.boxes:
            raise ValueError(f"image {name!r} has no boxes among the {self.source}: its regions are of another source")
        # Detectors put boxes a little beyond the border; features have them cut off there.
        limits = np.array([regions.width, regions.height, regions.width, regions.height], dtype=np.float32)
        proposed = np.clip(self.boxes[name], 0, limits)
        own = regions.boxes[int(regions.has_global_region) :]
        same = pairwise_iou(own, proposed, plus_one=False) >= SAME_BOX_IOU
        for boxes, found, what in (
            (own, same.any(axis=1), f"regions are none of the {self.source}"),
            (proposed, same.any(axis=0), f"of the {self.source} are no regions"),
        ):
            if not found.all():
                box = ", ".join(f"{number:.1f}" for number in boxes[int(found.argmin())])
                raise ValueError(
                    f"image {name!r}: {int((~found).sum())} of {len(found)} {what}, the first is ({box}): take the "
                    "features of these boxes (without ground-truth boxes among them), or leave the detections out"
                )
