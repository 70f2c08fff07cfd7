"""What goes to the Hub: a card and the files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import RepoCard

from datasets_vl.hub_dataset import CARD_NAME, REGION_FILES, region_files
from datasets_vl.hub_push import WEIGHTS, Kind, check_card, push_files


@dataclass(frozen=True)
class Parcel:
    """What is pushed with one commit.

    Attributes:
        kind: Of the repository.
        card: Its README.
        files: The other files by their path in the repository.
        replaces: Patterns of files in the repository that these replace.
    """

    kind: Kind
    card: RepoCard
    files: dict[str, Path]
    replaces: Sequence[str] = ()

    def push(self, name: str, scratch: Path, *, private: bool | None, message: str | None, branch: str | None) -> str:
        """Have the Hub check the card, and push everything as one commit.

        Args:
            name: Hub id.
            scratch: An empty folder, where the card is written.
            private: Whether a repository that is made for this push is private.
            message: Of the commit.
            branch: Where the commit goes; main when None.

        Returns:
            Address of the commit.

        Raises:
            ValueError: The Hub does not accept the card's metadata; nothing was sent.
            PushError: The push failed.
        """
        check_card(self.card)
        self.card.save(scratch / CARD_NAME)
        return push_files(
            {**self.files, CARD_NAME: scratch / CARD_NAME},
            name,
            kind=self.kind,
            private=private,
            message=message,
            replaces=self.replaces,
            branch=branch,
        )


def refuse_own_card(folder: Path) -> None:
    """Refuse a `folder` with a card of somebody's own, which would be left behind: a `FileExistsError`."""
    if (folder / CARD_NAME).exists():
        raise FileExistsError(
            f"{folder / CARD_NAME} would not be pushed: the card is written from facts. Move it away; what it says "
            "besides can go into the field notes"
        )


def model_parcel(path: Path, name: str, given: Mapping[str, Any], scratch: Path) -> Parcel:
    """A model with its processor and its code.

    Args:
        path: Folder of the model.
        name: Hub id it shall have.
        given: What a person says of it.
        scratch: An empty folder, where config, processor and code are saved anew.

    Returns:
        What to push: of the model's folder the weights alone, so nothing of the run that made it travels.
    """
    from transformers import AutoConfig, AutoProcessor

    from .model_card import model_card
    from .model_folder import ModelFolder

    refuse_own_card(path)
    card = model_card(ModelFolder.read(path), name, given)
    AutoConfig.from_pretrained(path).save_pretrained(scratch)
    AutoProcessor.from_pretrained(path).save_pretrained(scratch)
    files = [*path.glob("model*.safetensors*"), *scratch.iterdir()]
    return Parcel("model", card, {file.name: file for file in files}, WEIGHTS)


def dataset_parcel(path: Path, name: str, given: Mapping[str, Any]) -> Parcel:
    """Region features.

    Args:
        path: Folder of shards, or of splits that are such folders.
        name: Hub id they shall have.
        given: What a person says of them.

    Returns:
        What to push: manifests and the shards that they name.
    """
    from .dataset_card import DatasetFolder, dataset_card

    refuse_own_card(path)
    card = dataset_card(DatasetFolder.read(path), name, given)
    return Parcel("dataset", card, region_files(path), REGION_FILES)


def metric_parcel(path: Path, name: str, given: Mapping[str, Any], scratch: Path) -> Parcel:
    """A metric.

    Args:
        path: Its folder.
        name: Hub id it shall have.
        given: What a person says of it.
        scratch: An empty folder, where copies of its code and the page of the Space are written.

    Returns:
        What to push: all code that it needs, and a page that says what the Space is.

    Raises:
        ValueError: The Space would not be named as the metric's file.
    """
    from metrics_vl.metric_folder import write_metric_folder

    from .metric_card import MetricFolder, metric_card, metric_page

    refuse_own_card(path)
    folder = MetricFolder.read(path)
    metric = folder.path.name
    if name.rpartition("/")[2] != metric:
        raise ValueError(
            f"evaluate.load looks in a Space for the file of its name: push {metric} to "
            f"{name.rpartition('/')[0]}/{metric}, not to {name}"
        )
    card = metric_card(folder, name, given)
    page = scratch / "index.html"
    page.write_text(metric_page(folder, name), encoding="utf-8")
    files = [page, *write_metric_folder(metric, scratch / metric)]
    return Parcel("space", card, {file.name: file for file in files}, ["*.py"])


def space_parcel(
    path: Path,
    name: str,
    given: Mapping[str, Any],
    scratch: Path,
    *,
    image_ids: Sequence[str] = (),
    photos: Path | None = None,
) -> Parcel:
    """A demo Space.

    Args:
        path: Folder of shards with the example images.
        name: Hub id of the Space.
        given: What a person says of it.
        scratch: A folder, below which the page is written.
        image_ids: Which images to show; the first ones when none is named.
        photos: Folder of photos named as the images.

    Returns:
        What to push.
    """
    from .demo_space import ExampleImages, demo_space

    space = demo_space(ExampleImages.read(path, image_ids, photos), name, given)
    folder = scratch / "page"
    space.write(folder)
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return Parcel("space", space.card, files, ["images/*"])
