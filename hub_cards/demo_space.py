"""A demo Space: a page that shows which regions of example images a text selects for a model, and its card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import SpaceCard, SpaceCardData, hf_hub_download

from datasets_vl.shard_folder import ShardFolder
from processing_vl.region_features import RegionFeatures

from .asked import SPACE
from .fields import fill
from .model_tasks import architecture_of, class_reference, task_of
from .rendering import render

GRADIO = "6.31.0"
"""The version of gradio that the page was tried with."""

SHOWABLE = ("RegionGrounding", "VisualQuestionAnswering", "ImageTextRetrieval")
"""Ends of the names of the classes that the page knows how to ask."""

_DEMO = Path(__file__).parent / "demo"
_PHOTOS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class ExampleImages:
    """What the page shows.

    Attributes:
        images: Region features.
        photos: Photo of an image by its id, for those that have one.
    """

    images: Sequence[RegionFeatures]
    photos: Mapping[str, Path]

    @classmethod
    def read(
        cls, regions: str | Path, image_ids: Sequence[str] = (), photos: str | Path | None = None, most: int = 8
    ) -> ExampleImages:
        """Read examples from a folder of shards.

        Args:
            regions: The folder.
            image_ids: Which images to show; the first ones when none is named.
            photos: Folder of photos named as the images; images without one are drawn on white.
            most: How many images to show when none is named.

        Returns:
            The examples.

        Raises:
            FileNotFoundError: There are no region features, or no folder of photos.
            ValueError: An image is not among them.
        """
        folder = ShardFolder(regions)
        if photos is not None and not Path(photos).is_dir():
            raise FileNotFoundError(f"there is no folder of photos {photos}")
        missing = [name for name in image_ids if name not in folder.image_ids]
        if missing:
            raise ValueError(f"{regions} has no image {', '.join(missing)}")
        chosen = {folder.image_ids.find(name) for name in image_ids} or range(min(most, len(folder)))
        images = [image for _, image in folder.read(sorted(chosen))]
        files = {
            path.stem: path for path in (Path(photos).iterdir() if photos else ()) if path.suffix.lower() in _PHOTOS
        }
        return cls(images, {image.image_id: files[image.image_id] for image in images if image.image_id in files})


@dataclass(frozen=True)
class DemoSpace:
    """A page that is ready to be pushed.

    Attributes:
        card: Its README.
        settings: Content of `demo.json`.
        examples: What it shows.
    """

    card: SpaceCard
    settings: dict[str, Any]
    examples: ExampleImages

    def write(self, folder: Path) -> None:
        """Write everything but the card into `folder`, which is made."""
        (folder / "images").mkdir(parents=True)
        shutil.copy(_DEMO / "app.py", folder)
        shutil.copy(_DEMO / "requirements.txt", folder)
        (folder / "demo.json").write_text(json.dumps(self.settings, indent=2) + "\n", encoding="utf-8")
        for number, image in enumerate(self.examples.images):
            # Ids may hold characters that files must not, so a number tells apart what becomes alike.
            name = f"{number:02d}-{re.sub(r'[^A-Za-z0-9_-]+', '_', image.image_id)}"
            np.savez_compressed(
                folder / "images" / f"{name}.npz",
                boxes=image.boxes,
                features=image.features,
                width=image.width,
                height=image.height,
                has_global_region=image.has_global_region,
            )
            if photo := self.examples.photos.get(image.image_id):
                shutil.copy(photo, folder / "images" / f"{name}{photo.suffix}")


def demo_space(examples: ExampleImages, name: str, given: Mapping[str, Any]) -> DemoSpace:
    """Make the page and its card.

    Args:
        examples: What it shows.
        name: Hub id it shall have.
        given: What a person says, by name of the field.

    Returns:
        The page.

    Raises:
        UnfilledCard: Naming the fields that nothing fills.
        ValueError: The page does not know how to ask such a model, or the features are not of its width.
        HfHubHTTPError: The model's config cannot be fetched.
    """
    known = {"title": name.rpartition("/")[2], "model_revision": "main"}
    values = fill(SPACE, known, given, f"the demo {name}")
    config = _config_of(values["model"], values["model_revision"])
    architecture = architecture_of(config, values["model"])
    if not architecture.endswith(SHOWABLE):
        raise ValueError(
            f"{values['model']} is a {architecture}; the page knows models whose class ends in {', '.join(SHOWABLE)}"
        )
    widths = {image.feature_dim for image in examples.images}
    if widths != {config["visual_embedding_dim"]}:
        raise ValueError(
            f"the example images have {', '.join(map(str, sorted(widths)))} numbers a region, {values['model']} reads "
            f"{config['visual_embedding_dim']}: take features of the detector that it was trained with"
        )
    data = SpaceCardData(
        title=values["title"],
        sdk="gradio",
        sdk_version=GRADIO,
        app_file="app.py",
        license="apache-2.0",
        models=[values["model"]],
        tags=["vision-language", "region-features"],
    )
    card = render(
        SpaceCard,
        "space.md",
        data,
        values=values,
        does=task_of(architecture, config).does,
        finds_regions=architecture.endswith("RegionGrounding"),
        images=len(examples.images),
        photos=len(examples.photos),
    )
    settings = {
        "title": values["title"],
        "model": values["model"],
        "model_class": class_reference(architecture),
        "revision": values["model_revision"],
        "texts": values["texts"],
    }
    return DemoSpace(card, settings, examples)


def _config_of(model: str, revision: str) -> dict[str, Any]:
    return json.loads(Path(hf_hub_download(model, "config.json", revision=revision)).read_text(encoding="utf-8"))
