"""Trying a fine-tuning command out: a tiny model of the same kind, a few steps; on built-in scenes without data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from datasets_vl.captions import read_captions
from datasets_vl.tasks.table import TaskTable, read_task_table
from datasets_vl.tasks.task_texts import texts_of

from .arguments import ModelArguments, RunArguments, TrainingArguments
from .data_setup import open_regions
from .multi_task_arguments import MultiTaskRunArguments, keys_of
from .prepared_scenes import prepare_scenes
from .retrieval_arguments import RetrievalDataArguments
from .task_arguments import TaskDataArguments, TaskRunArguments
from .task_setup import find_task
from .tiny_run import SCENES, tiny_model, tiny_training, with_captioned_scenes
from .word_tokenizer import save_tokenizer_of

AnyData = TaskDataArguments | RetrievalDataArguments


def shrink_task(arguments: TaskRunArguments) -> TaskRunArguments:
    """The same run, tiny; what it lacks of data and tokenizer is made in `output_dir`.

    Args:
        arguments: Of the run that is to be tried out.

    Returns:
        Arguments of a run of four steps from fresh weights, with a tokenizer of its own where none is named.
    """
    training = arguments.training
    # Processes that were started together make the files once.
    with _folder_of_its_own(training) as folder:
        data = _with_data(arguments.data, folder)
        model = _tiny_model(arguments.model, [data], folder)
    return RunArguments(model, data, tiny_training(training))


def shrink_multi_task(arguments: MultiTaskRunArguments) -> MultiTaskRunArguments:
    """The same run of several tasks, tiny, see `shrink_task`.

    Args:
        arguments: Of the run that is to be tried out.

    Returns:
        Arguments of a run of four iterations.
    """
    training = arguments.training
    with _folder_of_its_own(training) as folder:
        of_tasks = {name: _with_data(arguments.data.of_task(name), folder) for name in arguments.data.tasks}
        model = _tiny_model(arguments.model, list(of_tasks.values()), folder)
    entries = {
        name: {key: value for key in keys_of(name) if (value := getattr(data, key)) is not None}
        | {key: value for key, value in arguments.data.tasks[name].items() if key in ("head", "loss_scale")}
        for name, data in of_tasks.items()
    }
    return RunArguments(model, replace(arguments.data, tasks=entries), tiny_training(training))


@contextmanager
def _folder_of_its_own(training: TrainingArguments) -> Iterator[Path]:
    folder = Path(training.output_dir) / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield folder


def _with_data(data: AnyData, folder: Path) -> AnyData:
    """The arguments, with built-in scenes where there are no data."""
    if isinstance(data, RetrievalDataArguments):
        return with_captioned_scenes(data, folder)
    if data.data is not None or data.regions is not None:
        return data
    scenes = prepare_scenes(folder, find_task(data.task).benchmark, SCENES)
    return replace(
        data,
        data=str(scenes.data),
        regions=str(scenes.regions["train"]),
        val_regions=str(scenes.regions["val"]),
        train_split="train",
        val_split="val",
    )


def _tiny_model(model: ModelArguments, data: Sequence[AnyData], folder: Path) -> ModelArguments:
    tokenizer = model.tokenizer
    if tokenizer is None and (texts := [text for of_task in data for text in _training_texts(of_task)]):
        tokenizer = str(folder / "tokenizer")
        save_tokenizer_of(texts, tokenizer)
    metadata = open_regions(data[0], data[0].regions).metadata
    has_data = not Path(data[0].regions).is_relative_to(folder)  # built-in scenes are made there
    return tiny_model(model, tokenizer, metadata, has_data=has_data)


def _training_texts(data: AnyData) -> Iterable[str]:
    """The texts of a task; none where it names no data."""
    if isinstance(data, RetrievalDataArguments):
        return read_captions(data.captions, split=data.train_split).texts.to_pylist() if data.captions else ()
    return _texts(read_task_table(data.data, data.train_split.split("+")[0])) if data.data else ()


def _texts(table: TaskTable) -> Iterator[str]:
    for index in range(len(table)):
        yield from texts_of(table.record(index))


def save_task_tokenizer(tables: Iterable[TaskTable], folder: str | Path) -> None:
    """Make a tokenizer of the texts of tasks, see `word_tokenizer.save_tokenizer_of`.

    Args:
        tables: Their records.
        folder: Where the tokenizer goes.
    """
    save_tokenizer_of((text for table in tables for text in _texts(table)), folder)
