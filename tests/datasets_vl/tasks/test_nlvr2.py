from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks.nlvr2 import read_nlvr2
from datasets_vl.tasks.records import InvalidAnnotation
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_lines

DEV = SAMPLES / "nlvr2" / "dev.json"


def test_statements_are_about_two_images_and_belong_to_groups() -> None:
    records = list(read_nlvr2(DEV))
    assert records[0] == {
        "example_id": "dev-850-0-0",
        "image_ids": ["dev-850-0-img0", "dev-850-0-img1"],
        "sentence": "The right image shows a curving walkway of dark glass circling a low brown building.",
        "label": "False",
        "group": "dev-850-0",
    }
    assert [(r["image_ids"], r["label"], r["group"]) for r in records[1:]] == [
        (["dev-850-1-img0", "dev-850-1-img1"], "True", "dev-850-0"),
        (["dev-32-2-img0", "dev-32-2-img1"], "True", "dev-32-1"),
    ]


def test_a_hidden_label_is_none(tmp_path: Path) -> None:
    file = edited_lines(DEV, tmp_path, 2, lambda row: row.pop("label"))
    assert [record["label"] for record in read_nlvr2(file)] == ["False", None, "True"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"identifier": "dev-850-0"}, "identifier must be <split>-<set>-<pair>-<sentence>, got 'dev-850-0'"),
        ({"label": "true"}, "label must be one of False, True, got 'true'"),
        ({"label": True}, "label must be a text that is not empty, got True"),
        ({"sentence": ""}, "sentence must be a text that is not empty, got ''"),
    ],
)
def test_lines_that_are_not_right_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = edited_lines(DEV, tmp_path, 3, lambda row: row.update(changes))
    with pytest.raises(InvalidAnnotation, match=rf"dev\.json, line 3: {message}"):
        list(read_nlvr2(file))


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text(DEV.read_text() + "\n{'a': 1}\n")
    with pytest.raises(InvalidAnnotation, match=r"dev\.json, line 5: not JSON: Expecting property name"):
        list(read_nlvr2(tmp_path / "dev.json"))
