"""Arguments of fine-tuning for retrieval: `--task retrieval` of examples/run_finetuning.py."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import yaml

from .arguments import ModelArguments, RegionArguments, RunArguments
from .recipes import RECIPE_SUFFIXES, described, parse_groups
from .task_arguments import FineTuningArguments, TaskRunArguments, parse_task_arguments

TASK = "retrieval"
CaptionImageId = Literal["file_name", "cocoid"]
Candidates = Literal["in_batch", "drawn"]
PACKAGE_PREFIX = "package:"


@dataclass
@described
class RetrievalModelArguments(ModelArguments):
    """Which model to train, and what it starts from.

    Args:
        overrides_by_model: `config_overrides` for each kind of model, "vilbert" and "visualbert": one recipe serves
            both, and `--config` chooses. What `config_overrides` says wins.
        from_bert: A BERT folder or Hub id whose weights the text layers start from; or "package:NAME/FOLDER", a folder
            of an installed Python package.
        start: What fresh layers start from. "random"; or "least_squares": the closed-form solution of
            `training_vl.visual_start`, for small data.
        start_scale: Score of a perfect match in a least-squares start.
    """

    overrides_by_model: dict | str | None = None
    from_bert: str | None = None
    start: Literal["random", "least_squares"] = "random"
    start_scale: float = 12.0

    def __post_init__(self) -> None:
        """Read the overrides, and find packages."""
        super().__post_init__()
        if isinstance(self.overrides_by_model, str):
            try:
                self.overrides_by_model = json.loads(self.overrides_by_model)
            except json.JSONDecodeError as error:
                raise ValueError(f"overrides_by_model is no JSON: {error}; got {self.overrides_by_model!r}") from None
        if self.start_scale <= 0:
            raise ValueError(f"start_scale must be more than 0, got {self.start_scale}")
        if self.from_bert and self.from_bert.startswith(PACKAGE_PREFIX):
            self.from_bert = str(packaged_folder(self.from_bert.removeprefix(PACKAGE_PREFIX)))
        if self.overrides_by_model:
            from .model_setup import load_config  # with torch, which other command lines are read without

            plain = ModelArguments(config=self.config, from_pretrained=self.from_pretrained)
            own = self.overrides_by_model.get(load_config(plain).model_type, {})
            self.config_overrides = {**own, **(self.config_overrides or {})}
            self.overrides_by_model = None


def packaged_folder(name: str) -> Path:
    """A folder of an installed package.

    Args:
        name: Import name of the package and the folder in it, "package/folder".

    Returns:
        The folder.

    Raises:
        ValueError: If the package is not installed or has no such folder.
    """
    package, _, folder = name.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ValueError(
            f"from_bert names a folder of the package {package}, which is not installed: pip install "
            f"{package.replace('_', '-')}, or give --from_bert a BERT folder"
        )
    path = Path(found.submodule_search_locations[0]) / folder
    if not path.is_dir():
        raise ValueError(f"the package {package} has no folder {folder!r}")
    return path


@dataclass
@described
class RetrievalDataArguments(RegionArguments):
    """What is read, and what a caption is told from.

    Args:
        task: "retrieval".
        captions: Caption file: Karpathy or COCO json, {image id: captions}, or JSON lines.
        train_split: Images to train on, where the caption file names splits: "train", or "train+val".
        val_captions: Captions of the validation images, when they are not in `captions`.
        val_split: Images to evaluate on. Without this, `val_captions` and `val_regions` there is no evaluation.
        caption_image_id: What names an image in COCO layouts: the stem of its "file_name", or "cocoid", its number.
        candidates: What a caption's image is told from. "in_batch": all images of the micro-batch, each with one
            caption, and so both ways. "drawn": ViLBERT's alternatives, a random caption, a random image and, with
            `hard_negatives`, a caption of an image that resembles it.
        hard_negatives: A pool for `candidates` "drawn": a file that examples/run_retrieval.py wrote (`--pool_size`).
        max_text_length: Word pieces a text keeps, special tokens included.
        feature_dropout: Share of the numbers of every region feature that are hidden in training.
        token_dropout: Share of the word pieces that are masked in training.
        val_images: Validation images that the evaluations in training rank, the first ones. All by default.
        val_captions_per_image: Captions of each of these that they read. All by default.
    """

    task: str = TASK
    captions: str | None = None
    train_split: str | None = None
    val_captions: str | None = None
    val_split: str | None = None
    caption_image_id: CaptionImageId = "file_name"
    candidates: Candidates = "in_batch"
    hard_negatives: str | None = None
    max_text_length: int = 36
    feature_dropout: float = 0.0
    token_dropout: float = 0.0
    val_images: int | None = None
    val_captions_per_image: int | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.task != TASK:
            raise ValueError(f"these are the arguments of the task {TASK!r}, the task is {self.task!r}")
        # Those of one task among several come from no command line, which would have checked them.
        for name, choices in (("caption_image_id", CaptionImageId), ("candidates", Candidates)):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(f"{name} must be one of {list(get_args(choices))}, got {getattr(self, name)!r}")
        if self.hard_negatives and self.candidates != "drawn":
            raise ValueError(
                "hard_negatives are read with candidates 'drawn': in a batch the others are the negatives"
            )
        if self.streaming:
            raise ValueError("retrieval draws images at random and needs them on the disk: leave out streaming")

    @property
    def has_validation(self) -> bool:
        """Whether there is something to evaluate on."""
        return any((self.val_regions, self.val_captions, self.val_split))


RetrievalRunArguments = RunArguments[RetrievalDataArguments]


def asks_for_retrieval(arguments: Sequence[str]) -> bool:
    """Whether the words of a command line, or the recipe they begin with, name this task."""
    words = list(arguments)
    named = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "--task"]
    named += [word.removeprefix("--task=") for word in words if word.startswith("--task=")]
    if named:
        return named[-1] == TASK
    recipe = Path(words[0]) if words and words[0].endswith(RECIPE_SUFFIXES) else None
    if recipe is None or not recipe.is_file():
        return False  # what is wrong is said when the words are read in earnest
    try:
        content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return False
    return isinstance(content, dict) and content.get("task") == TASK


def parse_retrieval_arguments(arguments: Sequence[str], *, description: str | None = None) -> RetrievalRunArguments:
    """Read the command line of a run, see `recipes.parse_groups`.

    Args:
        arguments: The words of the command line, without the program.
        description: Text above the list of arguments in the help.

    Returns:
        The arguments.
    """
    groups = (RetrievalModelArguments, RetrievalDataArguments, FineTuningArguments)
    return RunArguments(*parse_groups(groups, arguments, description=description))


def parse_finetuning_arguments(
    arguments: Sequence[str], *, description: str | None = None
) -> TaskRunArguments | RetrievalRunArguments:
    """Read the command line of a run of any task, see `recipes.parse_groups`.

    Args:
        arguments: The words of the command line, without the program.
        description: Text above the list of arguments in the help.

    Returns:
        The arguments; of retrieval where words or recipe name it.
    """
    parse = parse_retrieval_arguments if asks_for_retrieval(arguments) else parse_task_arguments
    return parse(arguments, description=description)
