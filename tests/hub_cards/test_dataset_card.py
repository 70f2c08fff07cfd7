"""The card of a data set says what its manifests and shards say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from hub_cards.dataset_card import DatasetFolder, dataset_card
from hub_cards.fields import UnfilledCard
from tests.random_regions import random_regions

GIVEN = {
    "data_license": "cc0-1.0",
    "images_license": "none, they do not exist",
    "images": "random numbers",
    "intended_use": "Tests.",
    "limits": "Everything else.",
}
OPTIONAL = ("class_probs", "attribute_ids", "attribute_scores")
SAID = {"detector": "a generator", "box_policy": "any"}


def write(folder: Path, images: int, **metadata: object) -> Path:
    described = {"feature_dim": 8, "num_classes": 5, **SAID, **metadata}
    with RegionShardWriter(folder, RegionFeaturesMetadata(**described), shard_size=4) as writer:
        for number in range(images):
            image = random_regions(3, feature_dim=described["feature_dim"], seed=number)
            nothing = {} if described["num_classes"] else dict.fromkeys(OPTIONAL)
            writer.write(dataclasses.replace(image, **nothing))
    return folder


def test_splits_are_named_with_what_they_hold(tmp_path: Path) -> None:
    write(tmp_path / "train", 6)
    write(tmp_path / "val", 2)
    folder = DatasetFolder.read(tmp_path)
    card = dataset_card(folder, "someone/features", GIVEN)
    card.save(tmp_path / "README.md")
    read = DatasetCard.load(tmp_path / "README.md")
    assert read.data.to_dict() == {
        "license": "cc0-1.0",
        "size_categories": ["n<1K"],
        "tags": ["region-features", "vision-language"],
        "pretty_name": "features",
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": "train", "path": "train/shard-*.parquet"},
                    {"split": "val", "path": "val/shard-*.parquet"},
                ],
            }
        ],
    }
    manifest = folder.splits["train"]
    size = sum(shard.bytes for shard in manifest.shards)
    assert f"| train | 6 | 2 | {size} | 0 | `{manifest.fingerprint}` |" in read.text
    assert "Regions of 8 images" in read.text
    assert "* Boxes and features: a generator; 8 numbers a region, stored as float16" in read.text
    assert 'as_iterable_dataset("hf://datasets/someone/features/train")' in read.text


def test_only_columns_that_hold_something_are_described(tmp_path: Path) -> None:
    whole = DatasetFolder.read(write(tmp_path / "whole", 1))
    assert [column for column in whole.columns if "_" in column][-3:] == [
        "object_scores",
        "attribute_ids",
        "attribute_scores",
    ]
    part = DatasetFolder.read(write(tmp_path / "part", 5, num_classes=None))
    assert part.columns == [column for column in whole.columns if not column.startswith(("class", "attribute"))]
    assert "attribute_ids" not in str(dataset_card(part, "someone/part", GIVEN))


def test_what_the_manifest_does_not_say_is_asked_for(tmp_path: Path) -> None:
    folder = DatasetFolder.read(write(tmp_path, 1, detector=None, box_policy=None))
    with pytest.raises(UnfilledCard) as caught:
        dataset_card(folder, "someone/features", {})
    assert set(caught.value.names) == {*GIVEN, *SAID}
    assert "* How boxes were chosen: any\n" in str(dataset_card(folder, "someone/features", {**GIVEN, **SAID}))


def test_splits_of_two_kinds_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train", 1)
    write(tmp_path / "val", 1, feature_dim=6)
    with pytest.raises(ValueError, match="the splits of .* are not of one kind"):
        DatasetFolder.read(tmp_path)
