"""Every task of the package on the built-in scenes, in the files of its benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from tqdm.auto import tqdm

from .scene_files import SceneSplit, check_num_scenes, scene_splits
from .scene_tasks_boxes import write_flickr30k_entities, write_refcoco
from .scene_tasks_questions import write_gqa, write_vcr, write_vqa
from .scene_tasks_sentences import write_nlvr2, write_snli_ve

TASKS = ("vqa", "gqa", "vcr", "nlvr2", "snli_ve", "refcoco", "flickr30k_entities")
"""The benchmarks whose layouts are written, each in a folder of its name."""


def write_scene_tasks(
    folder: str | os.PathLike[str],
    num_scenes: Mapping[str, int],
    *,
    tasks: Collection[str] = TASKS,
    seed: int = 0,
    feature_dim: int = 128,
    progress: bool = True,
) -> None:
    """Writes tasks on the scenes that `scene_files.write_scenes` writes; the same arguments give the same bytes.

    Each task gets a folder with its files in the official layout, whose image ids are those of the scenes'
    region files; see the functions `write_*` for their names. NLVR2 names pictures in a way of its own: it gets
    pictures of its own, with their regions.

    Args:
        folder: Where to write; made if need be.
        num_scenes: How many scenes of which splits.
        tasks: Which of `TASKS`.
        seed: Seed of the data set.
        feature_dim: Numbers a region, for the pictures of NLVR2.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If a split or task is unknown, a number negative, or there is nothing to write.
    """
    check_num_scenes(num_scenes)
    if unknown := sorted(set(tasks) - set(TASKS)):
        raise ValueError(f"unknown tasks {unknown}, expected some of {list(TASKS)}")
    by_split: dict[str, Callable[[Path, SceneSplit], None]] = {
        "vqa": write_vqa,
        "gqa": write_gqa,
        "vcr": write_vcr,
        "nlvr2": partial(write_nlvr2, feature_dim=feature_dim),
        "snli_ve": write_snli_ve,
        "flickr30k_entities": write_flickr30k_entities,
    }
    total = len(tasks) * sum(num_scenes.values())
    with tqdm(total=total, unit="scene", disable=not progress) as bar:
        splits = scene_splits(num_scenes, seed, bar)
        for task in tasks:
            bar.set_description(f"writing {task}")
            target = Path(folder) / task
            target.mkdir(parents=True, exist_ok=True)
            if task == "refcoco":
                write_refcoco(target, splits)
                continue
            for split in splits:
                by_split[task](target, split)
