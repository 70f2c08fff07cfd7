"""Folders with everything a fine-tuning run needs: built-in scenes prepared for a task, a tokenizer, a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from datasets_vl.tasks.table import read_task_table
from tests.training_vl.tiny_data import IMAGE_SIZES, SIZES
from training_vl.prepared_scenes import PreparedScenes, prepare_scenes
from training_vl.tasks import TASKS
from training_vl.tiny_task import save_task_tokenizer

SCENES = {"train": 16, "val": 6}
FEATURES, VOCABULARY = 128, 400


def write_task(folder: Path, benchmark: str) -> PreparedScenes:
    """Scenes prepared for `benchmark`, and a tokenizer that knows the words of its texts."""
    scenes = prepare_scenes(folder, benchmark, SCENES)
    save_task_tokenizer([read_task_table(scenes.data, "train")], scenes.data / "tokenizer")
    return scenes


def task_recipe(folder: Path, name: str, *, task: str, config: str = "vilbert", **arguments: Any) -> Path:
    """A recipe over the scenes that `write_task` left in `folder`; `arguments` win."""
    scenes = write_task(folder, TASKS[task].benchmark)
    sizes = {**SIZES, **(IMAGE_SIZES if config == "vilbert" else {})}
    sizes |= {"visual_embedding_dim": FEATURES, "vocab_size": VOCABULARY, "max_position_embeddings": 80}
    recipe = {
        "task": task,
        "data": str(scenes.data),
        "regions": str(scenes.regions["train"]),
        "val_regions": str(scenes.regions["val"]),
        "config": config,
        "config_overrides": sizes | arguments.pop("config_overrides", {}),
        "tokenizer": str(scenes.data / "tokenizer"),
        "batch_size": 4,
        "max_steps": 6,
        "learning_rate": 0.01,
        "logging_steps": 1,
        "eval_steps": 3,
        "use_cpu": True,
        "tensorboard": False,
        **arguments,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in recipe.items() if value is not None}))
    return path
