from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets_vl.readers import BadRowError, UniterReader
from tests.datasets_vl.readers.raw_formats import raw_image, write_uniter

IMAGES = [raw_image(i, regions=2) for i in range(4)]


def test_boxes_get_their_pixels_back(tmp_path: Path) -> None:
    folder = write_uniter(tmp_path / "npz", IMAGES)
    for regions, image in zip(UniterReader(folder, image_sizes=tmp_path / "sizes.csv"), IMAGES, strict=True):
        assert regions.image_id == image["img_id"]
        assert (regions.width, regions.height) == (640, 480)
        half_a_step = 640 / 2048 / 2  # of float16 just below 1
        np.testing.assert_allclose(regions.boxes, image["boxes"], atol=half_a_step)
        np.testing.assert_array_equal(regions.features, image["features"].astype(np.float16), strict=True)
        np.testing.assert_array_equal(regions.class_probs, image["cls_prob"].astype(np.float16), strict=True)
        assert regions.object_scores is None  # `conf` is the confidence in a class the files do not name


def test_boxes_with_six_numbers_are_read(tmp_path: Path) -> None:
    folder = write_uniter(tmp_path / "npz", IMAGES[:1])
    (file,) = folder.iterdir()
    with np.load(file) as archive:
        arrays = dict(archive)
    np.savez(file, **{**arrays, "norm_bb": np.array([[0, 0, 0.5, 0.25, 0.5, 0.25]] * 2, np.float16)})
    (regions,) = UniterReader(folder, image_sizes=tmp_path / "sizes.csv")
    np.testing.assert_array_equal(regions.boxes, [[0, 0, 320, 120]] * 2)


def test_bad_files_are_reported(tmp_path: Path) -> None:
    folder = write_uniter(tmp_path / "npz", IMAGES)
    sizes = tmp_path / "sizes.csv"
    sizes.write_text("".join(sizes.read_text().splitlines(keepends=True)[:-1]))
    np.savez(folder / f"{IMAGES[0]['img_id']}.npz", features=np.ones((2, 8), np.float16))
    reader = UniterReader(folder, image_sizes=sizes, on_error="skip")
    assert [regions.image_id for regions in reader] == [IMAGES[1]["img_id"], IMAGES[2]["img_id"]]
    assert [row.reason for row in reader.skipped] == [
        "norm_bb is missing, or is no array [R, 6 or 7] of fractions",
        f"{sizes} has no size for this image",
    ]
    with pytest.raises(BadRowError, match="norm_bb is missing"):
        list(UniterReader(folder, image_sizes=sizes))
