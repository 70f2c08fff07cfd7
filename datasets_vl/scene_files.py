"""The built-in scenes as files in the formats of real data: LXMERT's TSV for regions, Karpathy's json for captions."""

from __future__ import annotations

import base64
import filecmp
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm.auto import tqdm

from processing_vl.region_features import RegionFeatures

from .readers.tsv import LXMERT_FIELDS
from .scene_captions import describe
from .scene_detector import ATTRIBUTE_CLASSES, OBJECT_CLASSES, detect
from .scenes import SPLITS, Scene, make_scene

TSV_FIELDS = (*LXMERT_FIELDS, "cls_prob")
CAPTIONS_FILE = "dataset_scenes.json"


def regions_file(split: str) -> str:
    """The name of a split's TSV file."""
    return f"scenes_{split}.tsv"


def write_scenes(
    folder: str | os.PathLike[str],
    num_scenes: Mapping[str, int],
    *,
    seed: int = 0,
    feature_dim: int = 128,
    progress: bool = True,
) -> None:
    """Writes scenes as a detector's and an annotator's files; the same arguments give the same bytes.

    Files: one TSV a split (`scenes_train.tsv`, ...) with LXMERT's fields and `cls_prob`, named in a header line; the
    captions of all splits in `dataset_scenes.json`, image ids being the stems of the file names; `objects_vocab.txt`
    and `attributes_vocab.txt`, the names of the detector's classes, one a line. A file gets its name when it is whole.
    Scene i of a split does not depend on how many scenes are written, and memory does not grow with them.

    Args:
        folder: Where to write; made if need be.
        num_scenes: How many scenes of which splits (`SPLITS`).
        seed: Seed of the data set.
        feature_dim: Numbers a region.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If a split is unknown, a number negative, or there is nothing to write.
    """
    check_num_scenes(num_scenes)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "objects_vocab.txt").write_text("\n".join(OBJECT_CLASSES) + "\n", encoding="utf-8")
    (folder / "attributes_vocab.txt").write_text("\n".join(ATTRIBUTE_CLASSES) + "\n", encoding="utf-8")
    with (
        json_list(folder / CAPTIONS_FILE, '{"dataset": "scenes", "images": [') as add_captions,
        tqdm(total=sum(num_scenes.values()), unit="scene", desc="writing scenes", disable=not progress) as bar,
    ):
        for split in scene_splits(num_scenes, seed, bar):
            with region_tsv(folder / regions_file(split.name)) as add_regions:
                for scene in split:
                    add_regions(detect(scene, feature_dim=feature_dim).regions)
                    add_captions(caption_record(scene))


@dataclass(frozen=True, slots=True)
class SceneSplit:
    """The scenes of one split, drawn anew each time they are gone through.

    Attributes:
        name: One of `SPLITS`.
        count: How many.
        seed: Seed of the data set.
        bar: Progress bar that counts the scenes gone through.
    """

    name: str
    count: int
    seed: int
    bar: tqdm

    def __iter__(self) -> Iterator[Scene]:
        for index in range(self.count):
            yield make_scene(index, split=self.name, seed=self.seed)
            self.bar.update()


def scene_splits(num_scenes: Mapping[str, int], seed: int, bar: tqdm) -> list[SceneSplit]:
    """The splits that have scenes, in the order of `SPLITS`.

    Args:
        num_scenes: How many scenes of which splits.
        seed: Seed of the data set.
        bar: Progress bar.

    Returns:
        The splits.
    """
    return [SceneSplit(name, num_scenes[name], seed, bar) for name in SPLITS if num_scenes.get(name)]


def check_num_scenes(num_scenes: Mapping[str, int]) -> None:
    """Refuses numbers of scenes that cannot be written.

    Args:
        num_scenes: How many scenes of which splits.

    Raises:
        ValueError: If a split is unknown, a number negative, or there is nothing to write.
    """
    unknown = sorted(set(num_scenes) - set(SPLITS))
    if unknown:
        raise ValueError(f"unknown splits {unknown}, expected some of {list(SPLITS)}")
    if min(num_scenes.values(), default=0) < 0 or not any(num_scenes.values()):
        raise ValueError(f"num_scenes must name at least one scene and no negative number, got {dict(num_scenes)}")


def image_number(scene: Scene) -> int:
    """A number of the scene's picture, unique over all splits, for files that name images by numbers."""
    return scene.index * len(SPLITS) + SPLITS.index(scene.split)


def image_file(scene: Scene) -> str:
    """The file name of the scene's picture, of which the image id is the stem; the picture itself is not written."""
    return f"{scene.image_id}.png"


def tsv_line(regions: RegionFeatures) -> str:
    """Formats regions as one line of a TSV with `TSV_FIELDS`, numbers in little-endian base64."""
    columns = {
        "img_id": regions.image_id,
        "img_h": str(regions.height),
        "img_w": str(regions.width),
        "objects_id": _base64(regions.object_ids, "<i8"),
        "objects_conf": _base64(regions.object_scores, "<f4"),
        "attrs_id": _base64(regions.attribute_ids, "<i8"),
        "attrs_conf": _base64(regions.attribute_scores, "<f4"),
        "num_boxes": str(regions.num_regions),
        "boxes": _base64(regions.boxes, "<f4"),
        "features": _base64(regions.features, "<f4"),
        "cls_prob": _base64(regions.class_probs, "<f4"),
    }
    return "\t".join(columns[name] for name in TSV_FIELDS) + "\n"


def caption_record(scene: Scene) -> dict[str, object]:
    """Describes a scene as one entry of `images` in a Karpathy json."""
    number = image_number(scene)
    sentences = [
        {"raw": caption.text, "tokens": caption.words, "imgid": number, "sentid": 5 * number + k}
        for k, caption in enumerate(describe(scene))
    ]
    return {
        "filename": image_file(scene),
        "imgid": number,
        "split": scene.split,
        "sentids": [sentence["sentid"] for sentence in sentences],
        "sentences": sentences,
    }


def _base64(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype)).decode("ascii")


@contextmanager
def region_tsv(path: Path) -> Iterator[Callable[[RegionFeatures], None]]:
    """Opens a TSV file of region features with `TSV_FIELDS` in a header line.

    Args:
        path: The file.

    Yields:
        A function that adds the regions of one image.
    """
    with whole_file(path) as file:
        file.write("\t".join(TSV_FIELDS) + "\n")
        yield lambda regions: file.write(tsv_line(regions))


@contextmanager
def json_list(path: Path, head: str) -> Iterator[Callable[[object], None]]:
    """Opens a JSON file with one object that ends in a list, which is written item by item.

    Args:
        path: The file.
        head: The text before the first item: an object up to the list's opening bracket.

    Yields:
        A function that adds an item.
    """
    with whole_file(path) as file:
        file.write(head)
        separator = "\n"

        def add(item: object) -> None:
            nonlocal separator
            file.write(separator + json.dumps(item))
            separator = ",\n"

        yield add
        file.write("\n]}\n")


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Opens a file that bears its name only once it is whole; one that is already there with these bytes stays.

    Args:
        path: The file.

    Yields:
        It, open for writing text; bytes go to its `buffer`.
    """
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8", newline="\n") as file:
        yield file
    if path.is_file() and filecmp.cmp(partial, path, shallow=False):
        partial.unlink()
    else:
        os.replace(partial, path)
