from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_vl.readers import BadRowError, TsvReader
from datasets_vl.readers import tsv as tsv_module
from tests.datasets_vl.readers.raw_formats import (
    BOTTOM_UP,
    LXMERT,
    assert_equal,
    encode,
    raw_image,
    tsv_line,
    write_tsv,
)

IMAGES = [raw_image(i, regions=1 + i % 3) for i in range(7)]
IDS = [image["img_id"] for image in IMAGES]
OBJECTS = ("objects_id", "objects_conf", "attrs_id", "attrs_conf")


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        (BOTTOM_UP, ()),
        ([*BOTTOM_UP, "cls_prob"], ("cls_prob",)),
        (LXMERT, OBJECTS),
        ([*LXMERT, "cls_prob", "attrs", "classes"], (*OBJECTS, "cls_prob")),
    ],
)
def test_public_layouts_are_detected(tmp_path: Path, fields: list[str], known: tuple[str, ...]) -> None:
    images = [{**image, "attrs": np.zeros((2, 9)), "classes": np.zeros(5)} for image in IMAGES]
    reader = TsvReader(write_tsv(tmp_path / "a.tsv", images, fields))
    assert reader.fields == tuple(fields)
    for regions, image in zip(reader, IMAGES, strict=True):
        assert regions.image_id == image["img_id"]
        assert_equal(regions, image, *known)
        assert regions.features.dtype == np.float32
        assert (regions.class_probs is None) == ("cls_prob" not in known)
        assert (regions.object_ids is None) == ("objects_id" not in known)


def test_a_header_line_or_the_argument_names_the_fields(tmp_path: Path) -> None:
    fields = ["img_id", "features", "boxes", "colour", "image_h", "img_w", "num_boxes"]
    images = [{**image, "colour": "red"} for image in IMAGES]
    path = write_tsv(tmp_path / "a.tsv", images, fields)
    assert [regions.image_id for regions in TsvReader(path, fields=fields)] == IDS
    path.write_text("\t".join(fields) + "\n" + path.read_text())
    reader = TsvReader(path)
    for regions, image in zip(reader, IMAGES, strict=True):
        assert_equal(regions, image)
    assert [regions.image_id for span in reader.spans(3) for regions in reader.read(span)] == IDS


def test_unknown_layouts_ask_for_the_fields(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", IMAGES, [*BOTTOM_UP, "objects_id", "attrs_id"])
    with pytest.raises(
        ValueError, match=r"has 8 fields and is no header; .* 6, 7, 10, 13\. Name .*\(--fields image_id"
    ):
        TsvReader(path)
    with pytest.raises(ValueError, match=r"missing: image_h or img_h or image_height, boxes or bbox"):
        TsvReader(path, fields=["img_id", "img_w", "num_boxes", "features"])


def test_files_written_by_python_scripts_of_all_ages_are_read(tmp_path: Path) -> None:
    """The csv module ends lines with CR LF; in Python 3 it writes bytes as b'...'."""
    path = tmp_path / "a.tsv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, LXMERT, delimiter="\t")
        for image in IMAGES:
            arrays = {name: str(encode(v).encode()) for name, v in image.items() if isinstance(v, np.ndarray)}
            writer.writerow({name: {**image, **arrays}[name] for name in LXMERT})
    assert b"b'" in path.read_bytes() and b"\r\n" in path.read_bytes()
    for regions, image in zip(TsvReader(path), IMAGES, strict=True):
        assert_equal(regions, image, *OBJECTS)


def test_numbers_of_64_and_32_bits_are_told_apart(tmp_path: Path) -> None:
    image = {
        **IMAGES[2],
        "boxes": IMAGES[2]["boxes"].astype(np.float64),
        "objects_conf": IMAGES[2]["objects_conf"].astype(np.float64),
        "objects_id": IMAGES[2]["objects_id"].astype(np.int32),
    }
    assert_equal(next(iter(TsvReader(write_tsv(tmp_path / "a.tsv", [image])))), IMAGES[2], *OBJECTS)


def spoilt(**changes: Any) -> str:
    return tsv_line({**raw_image(99), **changes})


GOOD = raw_image(99)
SPOILT = {
    "cut off": (tsv_line(GOOD)[:200] + "\n", "8 fields, expected 10: cut off|9 fields, expected 10: cut off"),
    "cut in base64": (tsv_line(GOOD)[:-6] + "\n", "features is not whole base64|features holds"),
    "no base64": (spoilt(features="p€p"), "features is not whole base64"),
    "other count": (spoilt(num_boxes=4), "boxes holds 48 bytes, expected 64 or 128 for 4 regions"),
    "count is text": (spoilt(num_boxes="three"), "num_boxes is b'three', expected a number"),
    "no regions": (spoilt(num_boxes=0), "num_boxes is 0, expected at least one region"),
    "no features": (spoilt(features=""), "features holds 0 bytes, expected a multiple of 12 for 3 regions"),
    "no width": (spoilt(img_w=""), "width is b'', expected a number"),
    "width is nan": (spoilt(img_w="nan"), "width is b'nan', expected a number"),
    "no id": (spoilt(img_id=""), "the image id is empty"),
    "few scores": (spoilt(objects_conf=np.zeros(2, np.float32)), "object_scores holds 8 bytes, expected 12 or 24"),
    "nan": (spoilt(features=np.full((3, 8), np.nan, np.float32)), "features of region 0 holds a number that is not"),
    "outside": (spoilt(img_w=20), "leaves the image of 20 x 480 pixels"),
    "empty box": (spoilt(boxes=np.ones((3, 4), np.float32)), "of region 0 is empty"),
    "other dimension": (spoilt(features=np.ones((3, 4), np.float32)), "features have 4 numbers a region, expected 8"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_bad_row_is_reported_with_line_image_and_reason(tmp_path: Path, case: str) -> None:
    line, reason = SPOILT[case]
    path = tmp_path / "a.tsv"
    lines = [tsv_line(image) for image in IMAGES[:3]]
    path.write_text("".join([*lines[:2], line, *lines[2:]]), encoding="utf-8")
    image_id = None if case == "no id" else GOOD["img_id"]

    with pytest.raises(BadRowError, match=reason) as caught:
        list(TsvReader(path))
    row = caught.value.row
    assert (row.file, row.location, row.image_id) == (str(path), "line 3", image_id)
    assert str(caught.value).startswith(f"{path}, line 3")

    reader = TsvReader(path, on_error="skip")
    assert [regions.image_id for regions in reader] == IDS[:3]
    assert reader.skipped == [row]


def test_the_dimension_asked_for_holds_for_the_first_row_too(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "a.tsv", IMAGES)
    with pytest.raises(BadRowError, match=r"line 1, .*features have 8 numbers a region, expected 2048"):
        next(iter(TsvReader(path, feature_dim=2048)))


def test_a_last_line_without_its_end_is_read_and_empty_lines_are_not_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\n".join([tsv_line(IMAGES[0], end=""), "", tsv_line(IMAGES[1], end="")]))
    reader = TsvReader(path)
    assert [regions.image_id for regions in reader] == IDS[:2]
    assert [span.first_row for span in reader.spans(1)] == [0, 1]


@pytest.mark.parametrize("num_rows", [1, 2, 3, 7, 100])
def test_spans_cover_the_file_in_order(tmp_path: Path, num_rows: int) -> None:
    path = write_tsv(tmp_path / "a.tsv", IMAGES)
    reader = TsvReader(path)
    spans = list(reader.spans(num_rows))
    assert spans[0].start == 0 and spans[-1].stop == reader.total == path.stat().st_size
    assert [[r.image_id for r in reader.read(span)] for span in spans] == [
        IDS[i : i + num_rows] for i in range(0, len(IDS), num_rows)
    ]


def test_a_bad_row_of_a_span_has_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(tsv_line(image) for image in IMAGES[:5]) + SPOILT["outside"][0])
    reader = TsvReader(path, on_error="skip")
    assert list(reader.read(list(reader.spans(2))[2])) != []
    assert [row.location for row in reader.skipped] == ["line 6"]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """300 rows of 400 KiB; the reader may hold a few of them."""
    path = tmp_path / "a.tsv"
    line = tsv_line(raw_image(0, regions=36, dim=2048))
    with open(path, "w") as file:
        for _ in range(300):
            file.write(line)
    reader = TsvReader(path)
    tracemalloc.start()
    rows = sum(1 for _ in reader) + sum(1 for _ in reader.spans(100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 303
    assert peak < 8 * len(line)


def test_a_file_without_lines_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tsv(tmp_path / "a.tsv", IMAGES)
    monkeypatch.setattr(tsv_module, "_MAX_LINE", 300)
    with pytest.raises(ValueError, match=r"a\.tsv, line 3: longer than 300 bytes, is this a TSV file"):
        list(TsvReader(path, fields=LXMERT))


def test_genuine_bottom_up_attention_features(real_data: Path) -> None:
    reader = TsvReader(real_data / "coco_butd10" / "train2014_obj36.tsv")
    images = list(reader)
    assert len(images) == 10
    assert {(regions.num_regions, regions.feature_dim) for regions in images} == {(36, 2048)}
    first = images[0]
    assert (first.image_id, first.width, first.height) == ("COCO_train2014_000000132417", 500, 333)
    names = (real_data / "coco_butd10" / "objects_vocab.txt").read_text().splitlines()
    assert first.object_ids.max() < len(names) == 1600
    assert all((regions.features >= 0).all() for regions in images)  # pooled after a ReLU
    assert first.object_scores.min() > 0 and first.object_scores.max() <= 1
