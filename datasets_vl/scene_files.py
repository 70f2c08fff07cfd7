"""The built-in scenes as files in the formats of real data: LXMERT's TSV for regions, Karpathy's json for captions."""

from __future__ import annotations

import base64
import filecmp
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    unknown = sorted(set(num_scenes) - set(SPLITS))
    if unknown:
        raise ValueError(f"unknown splits {unknown}, expected some of {list(SPLITS)}")
    if min(num_scenes.values(), default=0) < 0 or not any(num_scenes.values()):
        raise ValueError(f"num_scenes must name at least one scene and no negative number, got {dict(num_scenes)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "objects_vocab.txt").write_text("\n".join(OBJECT_CLASSES) + "\n", encoding="utf-8")
    (folder / "attributes_vocab.txt").write_text("\n".join(ATTRIBUTE_CLASSES) + "\n", encoding="utf-8")
    total = sum(num_scenes.values())
    with (
        _whole_file(folder / CAPTIONS_FILE) as captions,
        tqdm(total=total, unit="scene", desc="writing scenes", disable=not progress) as bar,
    ):
        captions.write('{"dataset": "scenes", "images": [')
        separator = "\n"
        for split in SPLITS:
            if not num_scenes.get(split):
                continue
            with _whole_file(folder / regions_file(split)) as regions:
                regions.write("\t".join(TSV_FIELDS) + "\n")
                for index in range(num_scenes[split]):
                    scene = make_scene(index, split=split, seed=seed)
                    regions.write(tsv_line(detect(scene, feature_dim=feature_dim).regions))
                    captions.write(separator + json.dumps(caption_record(scene)))
                    separator = ",\n"
                    bar.update()
        captions.write("\n]}\n")


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
    image_number = scene.index * len(SPLITS) + SPLITS.index(scene.split)
    sentences = [
        {"raw": caption.text, "tokens": caption.words, "imgid": image_number, "sentid": 5 * image_number + k}
        for k, caption in enumerate(describe(scene))
    ]
    return {
        "filename": f"{scene.image_id}.png",
        "imgid": image_number,
        "split": scene.split,
        "sentids": [sentence["sentid"] for sentence in sentences],
        "sentences": sentences,
    }


def _base64(array: np.ndarray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, dtype=dtype)).decode("ascii")


@contextmanager
def _whole_file(path: Path) -> Iterator[TextIO]:
    """Opens a file that bears its name only once it is whole; one that is already there with these bytes stays."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "w", encoding="utf-8", newline="\n") as file:
        yield file
    if path.is_file() and filecmp.cmp(partial, path, shallow=False):
        partial.unlink()
    else:
        os.replace(partial, path)
