from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_vl.tasks.mattnet import MATTNET, MATTNET_FILE, read_mattnet_detections
from datasets_vl.tasks.records import InvalidAnnotation

SAMPLES = Path(__file__).parent / "samples" / "refcoco"
INSTANCES = SAMPLES / "instances.json"


def test_boxes_have_corners_and_a_source() -> None:
    proposals = read_mattnet_detections(SAMPLES / MATTNET_FILE, INSTANCES)
    assert proposals.source == MATTNET
    assert set(proposals.boxes) == {"COCO_train2014_000000581857", "COCO_train2014_000000000009"}
    boxes = proposals.boxes["COCO_train2014_000000581857"]
    assert boxes.dtype == np.float32
    np.testing.assert_array_equal(boxes, [[8, 22, 108, 72], [1, 1, 5, 5]])
    assert set(read_mattnet_detections(SAMPLES / MATTNET_FILE, INSTANCES, image_id="cocoid").boxes) == {"581857", "9"}


def test_a_file_of_another_name_is_not_taken_for_mattnets(tmp_path: Path) -> None:
    path = shutil.copy(SAMPLES / MATTNET_FILE, tmp_path / "mine.json")
    assert read_mattnet_detections(path, INSTANCES).source == "detections of mine.json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"dets": []}, r"dets\.json: expected a list, got \{'dets'"),
        ([{"image_id": 9, "score": 1}], r"dets\.json, detection 0: has no box; it has image_id, score"),
        ([{"image_id": 9, "box": [1, 2, 3]}], r"detection 0: box must be x, y, width and height"),
        ([{"image_id": 7, "box": [1, 2, 3, 4]}], r"detection 0: image_id 7 is not in .*instances\.json"),
    ],
)
def test_broken_detections_are_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "dets.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidAnnotation, match=message):
        read_mattnet_detections(path, INSTANCES)
