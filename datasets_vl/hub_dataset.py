"""Region features as a data set of the Hub: shards pushed as files, with a card that says what the splits are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard

from datasets_vl.hub_push import push_files
from datasets_vl.manifest import MANIFEST_NAME, read_manifest

CARD_NAME = "README.md"
SHARD_PATTERN = "shard-*.parquet"
REGION_FILES = (f"*{MANIFEST_NAME}", f"*{SHARD_PATTERN}")
"""Patterns of the files of a data set, in whatever folder of a repository."""
ONLY_SPLIT = "train"
"""Name of the split of a folder that has shards and no folders of shards; it is what `load_dataset` calls it too."""

_SPLIT_NAME = re.compile(r"\w+(\.\w+)*")


def region_splits(folder: str | Path) -> dict[str, Path]:
    """The folders of shards of a data set.

    Args:
        folder: Of shards, or one with a folder of shards for each split, named as the split.

    Returns:
        Folders by name of the split, sorted; the manifest of each is whole.

    Raises:
        FileNotFoundError: There is no folder of shards.
        ValueError: A name cannot be one of a split, there are shards beside folders of shards, or a manifest does not
            fit the shards beside it.
    """
    folder = Path(folder)
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    if (folder / MANIFEST_NAME).is_file():
        if found:
            raise ValueError(f"{folder} has a manifest of its own, and so has {found[0]}: push one of them")
        splits = {ONLY_SPLIT: folder}
    elif found:
        splits = {path.name: path for path in found}
    else:
        raise FileNotFoundError(
            f"neither {folder} nor a folder in it has a {MANIFEST_NAME}: it holds no region features"
        )
    for name, path in splits.items():
        if not _SPLIT_NAME.fullmatch(name):
            raise ValueError(f"{path} cannot be a split: use letters, digits, _ and . in its name, not {name!r}")
        read_manifest(path)
    return splits


def split_configs(folder: str | Path) -> list[dict[str, Any]]:
    """What the metadata of a data set's card say of its splits, so that `load_dataset` reads the right files as each.

    Args:
        folder: See `region_splits`.

    Returns:
        The value of `configs`.
    """
    return [
        {
            "config_name": "default",
            "data_files": [
                {"split": name, "path": (path.relative_to(folder) / SHARD_PATTERN).as_posix()}
                for name, path in region_splits(folder).items()
            ],
        }
    ]


def region_files(folder: str | Path) -> dict[str, Path]:
    """The manifests, and the shards that they name.

    Args:
        folder: See `region_splits`.

    Returns:
        Files by their path below the folder.
    """
    return {
        (path.relative_to(folder) / name).as_posix(): path / name
        for path in region_splits(folder).values()
        for name in (MANIFEST_NAME, *(shard.name for shard in read_manifest(path).shards))
    }


def push_region_folder(
    folder: str | Path, repo_id: str, *, message: str | None = None, private: bool | None = None
) -> str:
    """Push shards, manifests and the card as they are, in one commit.

    Unlike `datasets.Dataset.push_to_hub`, which would write the shards anew, compressed and slow to read. Shards of an
    earlier push that are no longer part of the data set are removed by the same commit. `push_files` says what happens
    when a push breaks off.

    Args:
        folder: See `region_splits`; with a card, `README.md`, whose metadata hold `split_configs(folder)`.
        repo_id: `user/name`.
        message: Of the commit.
        private: Whether a repository that is made for this push is private.

    Returns:
        Address of the commit.

    Raises:
        FileNotFoundError: There are no shards or no card.
        ValueError: The manifest does not fit the shards, or the card the splits.
        PushError: The push failed.
    """
    folder = Path(folder)
    files = region_files(folder)
    card = folder / CARD_NAME
    if not card.is_file():
        raise FileNotFoundError(f"{card} does not exist: a data set is pushed with its card")
    found, expected = DatasetCard.load(card).data.to_dict().get("configs"), split_configs(folder)
    if found != expected:
        raise ValueError(f"the metadata of {card} have configs: {found}, but the splits are {expected}: write it anew")
    return push_files(
        {**files, CARD_NAME: card},
        repo_id,
        kind="dataset",
        message=message,
        private=private,
        replaces=REGION_FILES,
    )
