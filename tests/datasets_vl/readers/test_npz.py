from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_vl.readers import BadRowError, NpzReader
from tests.datasets_vl.readers.raw_formats import assert_equal, raw_image, write_npz

IMAGES = [raw_image(i, regions=1 + i % 3) for i in range(5)]


def test_files_of_milvlg_are_read_with_the_arrays_of_their_info(tmp_path: Path) -> None:
    reader = NpzReader(write_npz(tmp_path / "npz", IMAGES))
    for regions, image in zip(reader, IMAGES, strict=True):
        assert regions.image_id == image["img_id"]
        assert_equal(regions, image, "objects_id", "objects_conf", "attrs_id", "attrs_conf")


def test_half_precision_and_further_arrays_are_read(tmp_path: Path) -> None:
    features, probs = np.ones((2, 8), np.float16), np.full((2, 4), 0.25, np.float16)
    boxes = np.array([[0, 0, 64, 48], [1, 2, 3, 4]], np.float32)
    np.savez(
        tmp_path / "cat.npz",
        **{"x": features, "bbox": boxes, "num_bbox": 2, "image_h": 48, "image_w": 64, "cls_prob": probs},
        objects_id=np.array([-1, 3]),
        objects_conf=np.array([0, 1], np.float32),
        comment=np.array("anything"),
    )
    (regions,) = NpzReader(tmp_path, has_global_region=True)
    assert regions.image_id == "cat" and regions.has_global_region
    assert regions.features.dtype == regions.class_probs.dtype == np.float16
    assert regions.object_ids.tolist() == [-1, 3]
    (single,) = NpzReader(tmp_path / "cat.npz")
    assert single.image_id == "cat"


def test_the_order_is_that_of_the_names_and_spans_follow_it(tmp_path: Path) -> None:
    folder = write_npz(tmp_path / "npz", IMAGES[::-1])
    (folder / "sub").mkdir()
    (folder / f"{IMAGES[4]['img_id']}.npz").rename(folder / "sub" / "deep.npz")
    (folder / "notes.txt").write_text("not features")
    reader = NpzReader(folder)
    ids = [*(image["img_id"] for image in IMAGES[:4]), "deep"]
    assert [regions.image_id for regions in reader] == ids
    assert reader.total == 5
    assert [[r.image_id for r in reader.read(span)] for span in reader.spans(2)] == [ids[:2], ids[2:4], ids[4:]]


def save(path: Path, **changes: Any) -> None:
    image = raw_image(1)
    arrays = {"x": image["features"], "bbox": image["boxes"], "num_bbox": 3, "image_h": 480, "image_w": 640, **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch bomb_went_off",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bbox": None}, r"lacks boxes \(boxes or bbox\)"),
        ({"image_w": None, "x": None}, r"lacks width \(image_w or img_w or image_width\), features"),
        ({"num_bbox": 4}, "features have 3 rows, the row says 4 regions"),
        ({"bbox": np.zeros((2, 4), np.float32)}, "boxes has 2 rows, features have 3"),
        ({"x": np.array(["a", "b", "c"])}, "features is of type <U1, expected numbers"),
        ({"image_w": np.zeros(2)}, r"width is array\(\[0\., 0\.\]\), expected a number"),
        ({"objects_id": np.array([0.5, 1, 2])}, "object_ids holds fractions"),
        (
            {"info": np.array(Bomb(), dtype=object)},
            r"info\.npy in the archive cannot be read: .*system",
        ),
    ],
)
def test_a_bad_file_is_reported_and_may_be_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "bad.npz", **changes)
    save(tmp_path / "good.npz")
    with pytest.raises(BadRowError, match=reason) as caught:
        list(NpzReader(tmp_path))
    row = caught.value.row
    assert (row.file, row.location, row.image_id) == (str(tmp_path / "bad.npz"), "", "bad")
    reader = NpzReader(tmp_path, on_error="skip")
    assert [regions.image_id for regions in reader] == ["good"]
    assert reader.skipped == [row]
    assert not (tmp_path / "bomb_went_off").exists()


@pytest.mark.parametrize("share", [0, 0.3, 0.6, 0.95])
def test_a_file_cut_off_is_a_bad_row(tmp_path: Path, share: float) -> None:
    save(tmp_path / "good.npz")
    content = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "bad.npz").write_bytes(content[: int(share * len(content))])
    reader = NpzReader(tmp_path, on_error="skip")
    assert [regions.image_id for regions in reader] == ["good"]
    assert "the archive cannot be read" in reader.skipped[0].reason


def test_a_changed_byte_is_a_bad_row(tmp_path: Path) -> None:
    """The archive's checksum tells."""
    save(tmp_path / "bad.npz")
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    with zipfile.ZipFile(tmp_path / "bad.npz") as archive:
        content[archive.getinfo("x.npy").header_offset + 200] ^= 1
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(BadRowError, match=r"x\.npy in the archive cannot be read: Bad CRC-32"):
        list(NpzReader(tmp_path))


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no rows: no file in it ends in \.npz"):
        list(NpzReader(tmp_path))


def test_genuine_photos_whose_first_region_is_the_whole_image(real_data: Path) -> None:
    reader = NpzReader(real_data / "flickr8k_800" / "features", has_global_region=True)
    images = list(reader)
    assert len(images) == reader.total == 800
    assert {(regions.feature_dim, regions.num_classes) for regions in images} == {(1280, 1000)}
    assert max(regions.num_regions for regions in images) == 21
    assert all(regions.object_ids[0] == -1 for regions in images)
    assert all(regions.features.dtype == np.float16 for regions in images)
