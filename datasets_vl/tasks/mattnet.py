"""The detections of MAttNet, which grounding accuracies on RefCOCO are usually measured with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .coco_instances import ImageName, corners, image_names, look_up
from .json_stream import stream_list
from .official_files import Annotation
from .proposals import ProposalBoxes

MATTNET_FILE = "res101_coco_minus_refer_notime_dets.json"
MATTNET = "detections of MAttNet's Mask R-CNN (ResNet-101, trained without the images of RefCOCO's val and test)"


def read_mattnet_detections(
    detections: str | Path, instances: str | Path, *, image_id: ImageName = "file_name"
) -> ProposalBoxes:
    """Reads detections in MAttNet's layout, such as `res101_coco_minus_refer_notime_dets.json`.

    Args:
        detections: The file: a list of `{"image_id", "box" (x, y, width, height), ...}`. Under another name than
            MAttNet's it is taken for the detections of somebody else, and the source is called by its file name.
        instances: The `instances.json` of the same data set, which names the images.
        image_id: As for `read_refcoco`.

    Returns:
        The boxes of each image in the order of the file.

    Raises:
        InvalidAnnotation: If a file is not what it should be.
    """
    names = image_names(instances, image_id)
    found: dict[str, list[list[float]]] = {}
    for number, values in enumerate(stream_list(detections)):
        detection = Annotation(detections, f"detection {number}", values)
        found.setdefault(look_up(detection, "image_id", names, instances), []).append(corners(detection, "box"))
    file_name = Path(detections).name
    return ProposalBoxes(
        source=MATTNET if file_name == MATTNET_FILE else f"detections of {file_name}",
        boxes={name: np.array(boxes, np.float32) for name, boxes in found.items()},
    )
