"""Boxes that a named detector proposes, and whether the regions of images are these boxes."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from datasets_vl.shard_folder import ShardFolder
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

    def check_folders(self, folders: Sequence[ShardFolder], image_ids: Collection[str]) -> dict[str, Any]:
        """Refuse folders in which the regions of an image are not these boxes.

        Args:
            folders: Hold the images.
            image_ids: Which of their images count.

        Returns:
            What `verified_proposals` reads: the source, and the fingerprints of the folders.

        Raises:
            ValueError: Naming the image.
        """
        for folder in folders:
            found = (folder.image_ids.find(name) for name in image_ids)
            rows = sorted(row for row in found if row is not None)
            for _, image in tqdm(folder.read(rows), desc="boxes", total=len(rows), unit=" images"):
                self.check(image)
        return {"source": self.source, "regions": [folder.fingerprint for folder in folders]}


def verified_proposals(description: Mapping[str, Any], splits: Sequence[str], regions: str) -> str | None:
    """Whose boxes the regions of prepared splits are, where that was verified.

    Args:
        description: Of the prepared folder, `read_task_description`.
        splits: Names of the splits.
        regions: Fingerprint of the region features that are read: others than those that were verified do not count.

    Returns:
        The detector in words; None where nothing was verified, or the splits have boxes of several.
    """
    recorded = [description["splits"][split].get("proposals") for split in splits]
    sources = {entry["source"] if entry and regions in entry["regions"] else None for entry in recorded}
    return sources.pop() if len(sources) == 1 else None
