from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets_vl.readers import BadRowError, NpyReader
from tests.datasets_vl.readers.raw_formats import assert_equal, raw_image, write_npy

IMAGES = [raw_image(i, regions=2 + i % 3) for i in range(4)]


def test_files_of_vilbert_multi_task_are_read(tmp_path: Path) -> None:
    for regions, image in zip(NpyReader(write_npy(tmp_path / "npy", IMAGES)), IMAGES, strict=True):
        assert regions.image_id == image["img_id"]
        assert_equal(regions, image, "cls_prob")


def test_objects_stand_beside_their_regions(tmp_path: Path) -> None:
    """The extraction script slices regions where it means classes; object i belongs to region i + 1."""
    for regions, image in zip(NpyReader(write_npy(tmp_path / "npy", IMAGES)), IMAGES, strict=True):
        assert regions.object_ids[0] == -1
        np.testing.assert_array_equal(regions.object_ids[1:], image["cls_prob"].argmax(axis=1)[1:])


def test_a_count_that_disagrees_is_a_bad_row(tmp_path: Path) -> None:
    folder = write_npy(tmp_path / "npy", [{**IMAGES[0], "num_boxes": 1}])
    with pytest.raises(BadRowError, match="features have 2 rows, the row says 1 regions"):
        list(NpyReader(folder))


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch bomb_went_off",)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"features": Bomb()}, r"the pickle asks for (posix|nt)\.system"),
        (np.zeros((3, 4)), r"the file holds an array of shape \[3, 4\], expected a dictionary of fields"),
        ([1], "the file holds an array of shape"),
    ],
)
def test_other_content_is_a_bad_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_npy(tmp_path / "npy", IMAGES[:1])
    np.save(folder / "bad.npy", content, allow_pickle=True)
    with pytest.raises(BadRowError, match=reason) as caught:
        list(NpyReader(folder))
    assert caught.value.row.image_id == "bad"
    reader = NpyReader(folder, on_error="skip")
    assert len(list(reader)) == len(reader.skipped) == 1
    assert not (tmp_path / "bomb_went_off").exists()


def test_a_file_cut_off_is_a_bad_row(tmp_path: Path) -> None:
    folder = write_npy(tmp_path / "npy", IMAGES[:1])
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(BadRowError, match="the file cannot be read: the pickle is broken|pickle data was truncated"):
        list(NpyReader(folder))
