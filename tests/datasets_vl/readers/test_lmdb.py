from __future__ import annotations

import collections
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_vl.readers import BadRowError, LmdbReader
from tests.datasets_vl.readers.raw_formats import assert_equal, encode, raw_image, write_lmdb

pytest.importorskip("lmdb", reason="needs the extra `formats`: pip install modeling-vl[formats]")

IMAGES = [raw_image(i, regions=1 + i % 3) for i in range(5)]
OBJECTS = ("objects_id", "objects_conf", "attrs_id", "attrs_conf")


def key(image: dict[str, Any]) -> str:
    """The conversion scripts cut COCO names down to their number."""
    return str(int(image["img_id"].split("_")[-1]))


def volta_item(image: dict[str, Any]) -> dict[str, Any]:
    """A row of `csv.DictReader`: everything is text."""
    return {name: encode(value) for name, value in image.items()}


def bytes_item(image: dict[str, Any]) -> dict[str, Any]:
    return {name: encode(v).encode() if isinstance(v, np.ndarray) else v for name, v in image.items()}


def multi_task_item(image: dict[str, Any]) -> dict[str, Any]:
    return {
        "image_id": image["img_id"],
        "image_h": image["img_h"],
        "image_w": image["img_w"],
        **{name: image[name] for name in ("num_boxes", "boxes", "features")},
    }


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("item", "known"),
    [
        (volta_item, (*OBJECTS, "cls_prob")),
        (lambda image: collections.OrderedDict(volta_item(image)), (*OBJECTS, "cls_prob")),
        (bytes_item, (*OBJECTS, "cls_prob")),
        (multi_task_item, ()),
        (lambda image: {name: image[name] for name in ("img_h", "img_w", "features", "boxes")}, ()),
    ],
)
def test_items_of_all_code_bases_are_read(tmp_path: Path, item: Any, known: tuple[str, ...], protocol: int) -> None:
    path = write_lmdb(tmp_path / "a.lmdb", {key(image): item(image) for image in IMAGES}, protocol=protocol)
    reader = LmdbReader(path)
    for regions, image in zip(reader, IMAGES, strict=True):
        assert regions.image_id == key(image)
        assert_equal(regions, image, *known)
    assert [[r.image_id for r in reader.read(s)] for s in reader.spans(2)] == [["0", "1"], ["2", "3"], ["4"]]


def test_the_order_is_that_of_the_index_and_without_one_that_of_the_keys(tmp_path: Path) -> None:
    items = {name: multi_task_item(raw_image(1)) for name in ("10", "9", "é")}
    assert [r.image_id for r in LmdbReader(write_lmdb(tmp_path / "a", items))] == ["10", "9", "é"]
    items = {name: items[name] for name in ("9", "10", "é")}
    assert [r.image_id for r in LmdbReader(write_lmdb(tmp_path / "b", items, index=False))] == ["10", "9", "é"]


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch bomb_went_off",)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({**multi_task_item(IMAGES[0]), "caption": Bomb()}, r"the pickle asks for (posix|nt)\.system"),
        (b"\x80\x04", "the pickle is broken"),
        ([1, 2], "the value is a list, expected a dictionary of fields"),
        ({**volta_item(IMAGES[0]), "boxes": "abc"}, "boxes is not whole base64"),
        ({**multi_task_item(IMAGES[0]), "num_boxes": 5}, "features have 1 rows, the row says 5 regions"),
        ({**multi_task_item(IMAGES[0]), "features": None}, "features is of type object, expected numbers"),
    ],
)
def test_a_bad_item_is_reported_by_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item: Any, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_lmdb(tmp_path / "a.lmdb", {"7": multi_task_item(IMAGES[0]), "8": item, "9": volta_item(IMAGES[1])})
    with pytest.raises(BadRowError, match=reason) as caught:
        list(LmdbReader(path))
    assert (caught.value.row.location, caught.value.row.image_id) == ("key '8'", "8")
    reader = LmdbReader(path, on_error="skip")
    assert [regions.image_id for regions in reader] == ["7", "9"]
    assert reader.skipped == [caught.value.row]
    assert not (tmp_path / "bomb_went_off").exists()


def test_a_key_of_the_index_without_item_is_a_bad_row(tmp_path: Path) -> None:
    import lmdb

    path = write_lmdb(tmp_path / "a.lmdb", {"7": multi_task_item(IMAGES[0]), "8": b""})
    with lmdb.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        transaction.delete(b"8")
    with pytest.raises(BadRowError, match="key '8', image '8': the index names this key, but the data base lacks it"):
        list(LmdbReader(path))


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ({"keys": Bomb()}, r"key 'keys': the pickle asks for (posix|nt)\.system"),
        ({"keys": 3}, "key 'keys': holds a int, expected a list of image ids"),
        ({"__keys__": b"\x91"}, "was written by tensorpack, which stores msgpack"),
    ],
)
def test_an_index_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: dict[str, Any], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_lmdb(tmp_path / "a.lmdb", items, index=False)
    with pytest.raises(ValueError, match=reason):
        list(LmdbReader(path, on_error="skip"))
    assert not (tmp_path / "bomb_went_off").exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.lmdb").write_text("no data base")
    with pytest.raises(ValueError, match=r"a\.lmdb is no LMDB data base"):
        list(LmdbReader(tmp_path / "a.lmdb"))


@pytest.mark.parametrize("code_base", ["beta", "mt", "volta"])
def test_rows_are_those_the_original_readers_gave(golden_fixtures: Path, tmp_path: Path, code_base: str) -> None:
    """The originals prepend or append a global region and scale the boxes, which here is a model input's business."""
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = safetensors.load_file(golden_fixtures / f"data_{code_base}.safetensors")
    width, height = tensors["inputs/image_wh"].tolist()
    names = ("img_id", "img_w", "img_h") if code_base == "volta" else ("image_id", "image_w", "image_h")
    item = {
        **dict(zip(names, ("42", str(width), str(height)), strict=True)),
        "num_boxes": str(len(tensors["inputs/boxes"])),
        "boxes": encode(tensors["inputs/boxes"]),
        "features": encode(tensors["inputs/features"]),
    }
    (regions,) = LmdbReader(write_lmdb(tmp_path / "a.lmdb", {"42": item}))
    assert (regions.width, regions.height) == (width, height)

    runs = json.loads((golden_fixtures / f"data_{code_base}.json").read_text())["tensor_index"]
    runs = sorted({name.split(".")[0] for name in runs if name.startswith("outputs/reader")})
    assert runs
    for run in runs:
        features, boxes = tensors[f"{run}.features"], tensors[f"{run}.boxes_ori"]
        own = slice(None) if "None" in run else slice(None, -1) if "last" in run else slice(1, None)
        np.testing.assert_array_equal(regions.boxes, boxes[own, :4], err_msg=run)
        if not run.endswith("norm"):  # VOLTA's option to scale what it has read to length 1
            np.testing.assert_array_equal(regions.features, features[own], err_msg=run)
