from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks.nlvr1 import read_nlvr1
from datasets_vl.tasks.records import InvalidAnnotation
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_lines

DEV = SAMPLES / "nlvr1" / "dev.json"


def test_official_lines_take_the_first_order_of_the_boxes() -> None:
    assert list(read_nlvr1(DEV, image_split="dev")) == [
        {
            "example_id": "3820-3",
            "image_ids": ["dev-3820-3-0"],
            "sentence": "There is a box with a yellow square.",
            "label": "true",
            "group": None,
        },
        {
            "example_id": "1304-0",
            "image_ids": ["dev-1304-0-0"],
            "sentence": "There is no black item.",
            "label": "false",
            "group": None,
        },
    ]


def test_an_image_id_counts_where_there_is_one(tmp_path: Path) -> None:
    file = edited_lines(DEV, tmp_path, 1, lambda row: row.update(image_id="dev-3820-3-4"))
    assert [r["image_ids"] for r in read_nlvr1(file, image_split="dev")] == [["dev-3820-3-4"], ["dev-1304-0-0"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "True"}, "label must be one of false, true, got 'True'"),
        ({"identifier": None}, "identifier must be a text that is not empty, got None"),
        ({"x": 1}, "has no image_id: say with image_split whether the images are those of train, dev or test"),
    ],
)
def test_lines_that_are_not_right_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = edited_lines(DEV, tmp_path, 1, lambda row: row.update(changes))
    with pytest.raises(InvalidAnnotation, match=rf"dev\.json, line 1: {message}"):
        list(read_nlvr1(file))


def test_the_genuine_files_are_read(real_data: Path) -> None:
    counts = {}
    for split in ("train", "dev", "test"):
        records = list(read_nlvr1(real_data / "nlvr1" / f"{split}.jsonl"))
        counts[split] = len(records)
        assert len({record["example_id"] for record in records}) == len(records)
        assert {record["label"] for record in records} == {"true", "false"}
    assert counts == {"train": 1000, "dev": 989, "test": 990}
