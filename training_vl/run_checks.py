"""What is said of a run before anything is built or asked of the Hub: missing arguments, files that are not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_vl.manifest import MANIFEST_NAME

from .arguments import DataArguments, ModelArguments, RegionArguments, RunArguments, TrainingArguments
from .multi_task_arguments import MultiTaskDataArguments, is_retrieval

NO_OUTPUT_DIR = "where shall the model go? Give output_dir: a folder"


def check_pretraining(arguments: RunArguments[DataArguments]) -> None:
    """Refuse a pre-training run that cannot begin.

    Args:
        arguments: Of the run, before `--tiny` makes what it lacks.

    Raises:
        ValueError: Naming all arguments that are missing.
        FileNotFoundError: Naming all files and folders that are.
    """
    model, data, training = arguments.model, arguments.data, arguments.training
    missing = []
    if training.output_dir is None:
        missing.append(NO_OUTPUT_DIR)
    if not (model.config or model.from_pretrained):
        missing.append("which model? Give config, such as vilbert or visualbert, or from_pretrained")
    if not (model.tokenizer or model.from_pretrained or model.from_bert or training.tiny):
        missing.append("which word pieces? Give tokenizer: a folder or Hub id")
    makes_scenes = training.tiny and data.regions is None and data.captions is None
    if data.regions is None and not makes_scenes:
        missing.append("which images? Give regions: a folder of shards written by examples/convert_region_features.py")
    if data.captions is None and not makes_scenes:
        missing.append("which captions? Give captions: a caption file")
    if missing:
        several = f"{len(missing)} arguments are missing:\n  " if len(missing) > 1 else ""
        raise ValueError(several + "\n  ".join(missing))
    check_local_files(model, data)


def check_run(arguments: RunArguments[Any]) -> None:
    """Refuse the run of a task that cannot begin.

    Args:
        arguments: Of the run, before `--tiny` makes what it lacks.

    Raises:
        ValueError: If there is no `output_dir`.
        FileNotFoundError: Naming all files and folders that are missing.
    """
    _require_output_dir(arguments.training)
    check_local_files(arguments.model, arguments.data)


def _require_output_dir(training: TrainingArguments) -> None:
    """Refuse a run, by its `training` arguments, that has no place for the model: a `ValueError`."""
    if training.output_dir is None:
        raise ValueError(NO_OUTPUT_DIR)


def check_local_files(model: ModelArguments, data: RegionArguments) -> None:
    """Refuse files and folders that are not on this disk.

    What may be a Hub id, or is an address, is left to those who read it.

    Args:
        model: Of the run.
        data: Of the run; of its further fields, `captions`, `val_captions`, `hard_negatives` and `data` are looked
            at.

    Raises:
        FileNotFoundError: Naming all that are missing.
    """
    _refuse([*_missing_data(vars(data)), *_missing_model(model)])


def check_multi_task(arguments: RunArguments[MultiTaskDataArguments]) -> None:
    """Refuse a run of several tasks that cannot begin.

    Args:
        arguments: Of the run, before `--tiny` makes what it lacks.

    Raises:
        ValueError: If there is no `output_dir`, or tasks name no data; naming all of these.
        FileNotFoundError: Naming all files and folders that are missing, and the tasks that name them.
    """
    _require_output_dir(arguments.training)
    without = [_without_data(arguments, name) for name in arguments.data.tasks]
    if any(without):
        raise ValueError("\n  ".join(line for line in without if line))
    of_tasks = [
        f"tasks: {name}: {line}" for name, entry in arguments.data.tasks.items() for line in _missing_data(entry)
    ]
    _refuse([*_missing_data(vars(arguments.data)), *of_tasks, *_missing_model(arguments.model)])


def _without_data(arguments: RunArguments[MultiTaskDataArguments], name: str) -> str | None:
    """What the task `name` ought to name and does not; with `--tiny` scenes stand in for all or nothing."""
    key, what = "data", "a folder written by examples/prepare_task.py"
    if is_retrieval(name):
        key, what = "captions", "a caption file"
    data = arguments.data.of_task(name)
    if getattr(data, key) is not None or (arguments.training.tiny and data.regions is None):
        return None
    return f"tasks: {name} names no {key}: give {what}"


def _missing_data(values: Mapping[str, Any]) -> list[str]:
    """What the data arguments `values` name that is not there, a line each."""
    found = []
    for name in ("regions", "val_regions"):
        path = values.get(name)
        if path is None or "://" in path:
            continue
        if not Path(path).is_dir():
            found.append(f"{name}: there is no folder {path}")
        elif not (Path(path) / MANIFEST_NAME).is_file():
            found.append(
                f"{name}: {path} has no {MANIFEST_NAME}: convert raw features with examples/convert_region_features.py"
            )
    for name in ("captions", "val_captions", "hard_negatives"):
        path = values.get(name)
        if path is not None and not Path(path).is_file():
            found.append(f"{name}: there is no file {path}")
    prepared = values.get("data")
    if prepared is not None and not Path(prepared).is_dir():
        found.append(f"data: there is no folder {prepared}")
    return found


def _missing_model(model: ModelArguments) -> list[str]:
    """The same of where the model comes from."""
    found = []
    for name in ("from_pretrained", "from_bert", "tokenizer"):
        path = getattr(model, name)
        if path is not None and _is_no_hub_id(path) and not Path(path).exists():
            found.append(f"{name}: there is no folder {path}")
    return found


def _refuse(missing: list[str]) -> None:
    if missing:
        raise FileNotFoundError("\n  ".join(["these are missing:", *missing] if len(missing) > 1 else missing))


def _is_no_hub_id(name: str) -> bool:
    """Whether a name can only mean a place on this disk: a Hub id is `name` or `user/name`."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1
