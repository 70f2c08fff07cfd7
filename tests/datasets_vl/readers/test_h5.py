from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets_vl.readers import BadRowError, H5Reader
from tests.datasets_vl.readers.raw_formats import assert_equal, raw_image, write_h5

h5py = pytest.importorskip("h5py", reason="needs the extra `formats`: pip install modeling-vl[formats]")

IMAGES = [raw_image(i, regions=1 + i % 3) for i in range(5)]


@pytest.mark.parametrize("sizes", ["data sets", "attributes"])
def test_files_of_volta_are_read(tmp_path: Path, sizes: str) -> None:
    reader = H5Reader(write_h5(tmp_path / "a.h5", IMAGES, sizes=sizes))
    for regions, image in zip(reader, IMAGES, strict=True):
        assert regions.image_id == image["img_id"]
        assert_equal(regions, image, "objects_id", "objects_conf", "attrs_id", "attrs_conf")
    ids = [image["img_id"] for image in IMAGES]
    assert [[r.image_id for r in reader.read(s)] for s in reader.spans(3)] == [ids[:3], ids[3:]]


def test_half_precision_stays(tmp_path: Path) -> None:
    image = {**IMAGES[0], "features": IMAGES[0]["features"].astype(np.float16)}
    (regions,) = H5Reader(write_h5(tmp_path / "a.h5", [image]))
    assert_equal(regions, image)


def test_a_bad_group_is_reported_by_name(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "a.h5", IMAGES)
    names = [image["img_id"] for image in IMAGES]
    with h5py.File(path, "a") as file:
        del file[names[1]]["boxes"]
        del file[names[2]]
        file[names[2]] = np.zeros(3)
        file[names[3]]["features"][0, 0] = np.nan
    reader = H5Reader(path, on_error="skip")
    assert [regions.image_id for regions in reader] == [names[0], names[4]]
    assert [(row.file, row.location, row.image_id) for row in reader.skipped] == [
        (str(path), f"group {name!r}", name) for name in names[1:4]
    ]
    assert [row.reason for row in reader.skipped] == [
        "lacks boxes (boxes or bbox)",
        "is a data set, expected a group with one data set a field",
        "features of region 0 holds a number that is not finite",
    ]
    with pytest.raises(BadRowError, match="lacks boxes"):
        list(H5Reader(path))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"a\.h5 is no HDF5 file"):
        list(H5Reader(tmp_path / "a.h5"))
    with h5py.File(tmp_path / "b.h5", "w"):
        pass
    with pytest.raises(ValueError, match=r"b\.h5 holds no rows"):
        list(H5Reader(tmp_path / "b.h5"))


def test_genuine_nlvr_images(real_data: Path) -> None:
    reader = H5Reader(real_data / "nlvr1" / "nlvr1_regions.h5", has_global_region=True)
    first_span = next(reader.spans(100))
    images = list(reader.read(first_span))
    assert reader.total == 2979
    assert {(regions.width, regions.height, regions.feature_dim) for regions in images} == {(400, 100, 256)}
    assert images[0].image_id == "dev-1021-0-0"
    np.testing.assert_array_equal(images[0].boxes[:2], [[0, 0, 400, 100], [0, 0, 100, 100]])
