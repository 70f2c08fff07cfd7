"""What is said of a run before anything is built or asked of the Hub: missing arguments, files that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets_vl.manifest import MANIFEST_NAME

from .arguments import DataArguments, ModelArguments, RegionArguments, RunArguments, TrainingArguments

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
    require_output_dir(arguments.training)
    check_local_files(arguments.model, arguments.data)


def require_output_dir(training: TrainingArguments) -> None:
    """Refuse a run, by its `training` arguments, that has no place for the model: a `ValueError`."""
    if training.output_dir is None:
        raise ValueError(NO_OUTPUT_DIR)


def check_local_files(model: ModelArguments, data: RegionArguments) -> None:
    """Refuse files and folders that are not on this disk.

    What may be a Hub id, or is an address, is left to those who read it.

    Args:
        model: Of the run.
        data: Of the run; of its further fields, `captions`, `val_captions` and `data` are looked at.

    Raises:
        FileNotFoundError: Naming all that are missing.
    """
    found = []
    for name in ("regions", "val_regions"):
        path = getattr(data, name)
        if path is None or "://" in path:
            continue
        if not Path(path).is_dir():
            found.append(f"{name}: there is no folder {path}")
        elif not (Path(path) / MANIFEST_NAME).is_file():
            found.append(
                f"{name}: {path} has no {MANIFEST_NAME}: convert raw features with examples/convert_region_features.py"
            )
    for name in ("captions", "val_captions"):
        path = getattr(data, name, None)
        if path is not None and not Path(path).is_file():
            found.append(f"{name}: there is no file {path}")
    prepared = getattr(data, "data", None)
    if prepared is not None and not Path(prepared).is_dir():
        found.append(f"data: there is no folder {prepared}")
    for name in ("from_pretrained", "from_bert", "tokenizer"):
        path = getattr(model, name)
        if path is not None and _is_no_hub_id(path) and not Path(path).exists():
            found.append(f"{name}: there is no folder {path}")
    if found:
        raise FileNotFoundError("\n  ".join(["these are missing:", *found] if len(found) > 1 else found))


def _is_no_hub_id(name: str) -> bool:
    """Whether a name can only mean a place on this disk: a Hub id is `name` or `user/name`."""
    return name.startswith((".", "/", "~")) or name.count("/") > 1
