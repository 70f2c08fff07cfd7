"""The built-in scenes as anyone's data: converted region features, and annotations prepared for a task."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datasets_vl.convert import Conversion, convert
from datasets_vl.scene_files import write_scenes
from datasets_vl.scene_tasks import write_scene_tasks
from datasets_vl.tasks.prepare import VocabularySource, prepare_split
from datasets_vl.tasks.registry import BENCHMARKS

SCENES_OF = {"refcoco+": "refcoco", "refcocog": "refcoco"}
"""Benchmarks that have the files of another one."""


class PreparedScenes(NamedTuple):
    """Where everything lies.

    Attributes:
        data: The prepared folder.
        regions: Shards of each split.
    """

    data: Path
    regions: dict[str, Path]


def scene_regions(folder: Path, num_scenes: Mapping[str, int]) -> dict[str, Path]:
    """Scenes with captions and their regions, in raw files and converted; what is there already is kept.

    Args:
        folder: Where to.
        num_scenes: How many scenes of which splits.

    Returns:
        The shards of each split. The captions of all are in `dataset_scenes.json`.
    """
    if not folder.is_dir():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_scenes(partial, num_scenes)
        for split in num_scenes:
            convert(Conversion(source=str(partial / f"scenes_{split}.tsv"), format="tsv"), partial / split)
        partial.rename(folder)
    return {split: folder / split for split in num_scenes}


def prepare_scenes(folder: Path, benchmark: str, num_scenes: Mapping[str, int]) -> PreparedScenes:
    """Scenes with the annotations of a benchmark.

    Args:
        folder: Where to; what is there already is kept.
        benchmark: A key of `BENCHMARKS`.
        num_scenes: How many scenes of which splits; of "train", where the benchmark has an answer vocabulary.

    Returns:
        The prepared data.

    Raises:
        ValueError: If the scenes have no annotations of that kind.
    """
    if benchmark == "nlvr1":
        raise ValueError("there are no built-in scenes for nlvr1: give data and regions")
    regions = scene_regions(folder / "scenes", num_scenes)
    files = folder / "annotations"
    if not files.is_dir():
        partial = files.with_name(f"{files.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_scene_tasks(partial, num_scenes)
        partial.rename(files)
    source = files / SCENES_OF.get(benchmark, benchmark)
    if benchmark == "nlvr2":
        regions = {split: folder / "nlvr2_regions" / split for split in num_scenes}
        for split, shards in regions.items():
            convert(Conversion(source=str(source / f"scenes_nlvr2_{split}.tsv"), format="tsv"), shards)
    prepared = folder / f"prepared_{benchmark}"
    description = BENCHMARKS[benchmark]
    for split in num_scenes:
        has_vocabulary = description.min_answer_count is not None and split == "train"
        prepare_split(
            description,
            prepared,
            split=split,
            regions=[regions[split]],
            options=_official_files(benchmark, source, split),
            vocabulary=VocabularySource(min_count=1) if has_vocabulary else None,
        )
    return PreparedScenes(prepared, regions)


def _official_files(benchmark: str, folder: Path, split: str) -> dict[str, Any]:
    """Options of the benchmark's reader."""
    if benchmark == "vqa":
        questions = folder / f"v2_OpenEnded_scenes_{split}_questions.json"
        annotations = folder / f"v2_scenes_{split}_annotations.json"
        return {"questions": [questions], "annotations": [annotations], "image_id": "cocoid"}
    if benchmark == "gqa":
        return {"questions": [folder / f"{split}_balanced_questions.json"]}
    if benchmark == "vcr":
        images = folder / "vcr1images"
        return {"annotations": folder / f"{split}.jsonl", "images": images, "image_id": "file_name"}
    if benchmark == "nlvr2":
        return {"annotations": folder / f"{split}.json"}
    if benchmark == "snli_ve":
        return {"annotations": folder / f"snli_ve_{split}.jsonl"}
    if benchmark == "flickr30k_entities":
        return {"folder": folder}
    return {"refs": folder / "refs(scenes).p", "instances": folder / "instances.json"}
