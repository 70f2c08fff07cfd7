from __future__ import annotations

from pathlib import Path

import pytest

from datasets_vl.readers import read_image_sizes

SIZES = {"1": (640, 480), "b": (3, 4)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "image_id,width,height\n1,640,480\nb,3,4\n"),
        ("a.csv", "height,comment,image_id,width\r\n480,,1,640\r\n4,x,b,3\r\n"),
        ("a.json", '[{"image_id": 1, "width": 640, "height": 480}, {"image_id": "b", "width": 3, "height": 4}]'),
        ("a.json", '{"1": [640, 480], "b": [3, 4]}'),
        ("a.jsonl", '{"image_id": "1", "width": 640, "height": 480}\n\n{"image_id": "b", "width": 3, "height": 4}\n'),
    ],
)
def test_tables_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_image_sizes(tmp_path / name) == SIZES


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.txt", "", r"a\.txt should end in \.csv, \.json, \.jsonl"),
        ("a.csv", "image_id,width\n1,640\n", r"a\.csv, entry 1: .* lacks whole numbers width and height"),
        ("a.csv", "image_id,width,height\n1,wide,480\n", r"entry 1: .*'wide'"),
        (
            "a.csv",
            "image_id,width,height\n1,640,480\n1,641,480\n",
            r"image '1' has the sizes \(640, 480\) and",
        ),
        ("a.json", "[1]", "entry 1: 1 lacks"),
        ("a.json", "3", "holds neither a list of objects nor"),
        ("a.json", "[", r"a\.json is no JSON"),
        ("a.jsonl", '{"image_id": 1, "width": 1, "height": 1}\nx\n', r"a\.jsonl, line 2 is no JSON"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_image_sizes(tmp_path / name)
