from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from datasets_vl.hub_dataset import push_region_folder, region_splits, split_configs
from tests.datasets_vl.small_shards import write_shards


def test_a_folder_of_shards_is_one_split(tmp_path: Path) -> None:
    write_shards(tmp_path, [2])
    assert region_splits(tmp_path) == {"train": tmp_path}
    assert split_configs(tmp_path) == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "shard-*.parquet"}]}
    ]


def test_folders_of_shards_are_splits(tmp_path: Path) -> None:
    for name in ("val", "train"):
        write_shards(tmp_path / name, [2])
    (tmp_path / "notes").mkdir()
    assert list(region_splits(tmp_path)) == ["train", "val"]
    assert split_configs(tmp_path)[0]["data_files"] == [
        {"split": "train", "path": "train/shard-*.parquet"},
        {"split": "val", "path": "val/shard-*.parquet"},
    ]


def test_folders_that_are_no_data_set_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no region features"):
        region_splits(tmp_path)
    shards = write_shards(tmp_path / "coco-train", [2])
    with pytest.raises(
        ValueError, match=r"cannot be a split: use letters, digits, _ and \. in its name, not 'coco-train'"
    ):
        region_splits(tmp_path)
    shards = shards.rename(tmp_path / "train")
    write_shards(tmp_path, [1])
    with pytest.raises(ValueError, match="has a manifest of its own, and so has .*train: push one of them"):
        region_splits(tmp_path)
    (shards / "shard-00000.parquet").unlink()
    with pytest.raises(ValueError, match=r"shard-00000\.parquet, named by the manifest beside it, is missing"):
        region_splits(tmp_path / "train")


def test_a_card_must_fit_the_splits(tmp_path: Path) -> None:
    """Before anything is sent."""
    write_shards(tmp_path / "train", [2])
    with pytest.raises(FileNotFoundError, match=r"README\.md does not exist: a data set is pushed with its card"):
        push_region_folder(tmp_path, "someone/regions")
    for metadata in ({"license": "mit"}, {"configs": split_configs(tmp_path)}):
        (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(metadata)}---\n")
        if "configs" in metadata:
            write_shards(tmp_path / "val", [1])
        with pytest.raises(ValueError, match=r"README\.md have configs: .*, but the splits are .*: write it anew"):
            push_region_folder(tmp_path, "someone/regions")
