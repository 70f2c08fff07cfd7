"""Arguments of a pre-training run: a YAML recipe, and a command line that overrides it."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from transformers import HfArgumentParser

from datasets_vl.pretraining import PreTrainingForm

RECIPE_SUFFIXES = (".yaml", ".yml")

_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_Class = TypeVar("_Class", bound=type)


def described(cls: _Class) -> _Class:
    """Give every field of a class with an `Args:` section its entry there as help text of the command line."""
    entries = dict(_ENTRY.findall(inspect.cleandoc(cls.__doc__).partition("Args:\n")[2]))
    for name in cls.__annotations__:
        text = " ".join(entries[name].split()).replace("%", "%%")
        setattr(cls, name, dataclasses.field(default=getattr(cls, name), metadata={"help": text}))
    return cls


@dataclass
@described
class ModelArguments:
    """Which model to train, and what it starts from.

    Args:
        config: A released size by name ("vilbert-base-6", see `configuration_vl.RELEASED_CONFIGS`), a class's defaults
            ("vilbert", "visualbert"), or a config file or folder.
        config_overrides: Fields of the config to change: a mapping in a recipe, JSON on the command line.
        from_bert: A BERT folder or Hub id whose weights the text layers start from.
        from_pretrained: A folder or Hub id saved by an earlier pre-training, with its processor, whose weights, config
            and processor this run starts from.
        tokenizer: Folder or Hub id of the tokenizer. By default that of `from_pretrained` or `from_bert`.
        max_regions: Regions to keep of an image, the global region besides. All by default.
        attn_implementation: Attention backend: "sdpa", "eager", "flash_attention_2" or "flex_attention".
        gradient_checkpointing: Whether to save memory by computing layers again in the backward pass.
    """

    config: str | None = None
    config_overrides: dict | str | None = None
    from_bert: str | None = None
    from_pretrained: str | None = None
    tokenizer: str | None = None
    max_regions: int | None = None
    attn_implementation: str = "sdpa"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        """Read the overrides, and refuse contradictory starts."""
        if isinstance(self.config_overrides, str):
            try:
                self.config_overrides = json.loads(self.config_overrides)
            except json.JSONDecodeError as error:
                raise ValueError(f"config_overrides is no JSON: {error}; got {self.config_overrides!r}") from None
        if not isinstance(self.config_overrides, dict | None):
            raise ValueError(f"config_overrides must map fields to values, got {self.config_overrides!r}")
        if self.from_pretrained:
            given = [name for name in ("config", "config_overrides", "from_bert") if getattr(self, name)]
            if given:
                raise ValueError(f"from_pretrained brings its own config and weights: leave out {', '.join(given)}")


@dataclass
@described
class DataArguments:
    """What is read, and what an image and its captions are turned into.

    Args:
        regions: Folder of Parquet shards of region features; with `streaming` also an address such as
            hf://datasets/user/name.
        captions: Caption file: Karpathy or COCO json, {image id: captions}, or JSON lines.
        train_split: Images to train on, where the caption file names splits: "train", or "train+restval".
        val_regions: Shards of the validation images, when they are not in `regions`.
        val_captions: Captions of the validation images, when they are not in `captions`.
        val_split: Images to evaluate on. Without any of the three there is no evaluation.
        caption_image_id: What names an image in COCO layouts: the stem of its "file_name", or "cocoid", its number.
        streaming: Whether to read the shards as a stream, in constant memory and without a copy on the local disk.
        shuffle_images: Images every reader of a stream shuffles among.
        cache_dir: Where local data keep their memory-mapped Arrow copy. By default beside the shards.
        num_workers: Worker processes that prepare batches, for each process. A resumed stream needs the same number.
        caption_form: "caption": one caption, in half of the examples of another image (ViLBERT; VisualBERT's
            single-caption form). "caption_pair": two captions, the second in half of the examples of another image
            (VisualBERT, section 3.3). "matched": always the right caption and no alignment to judge (objective 2;
            VisualBERT's task-specific pre-training).
        mismatch_probability: Share of examples with a caption of another image.
        objective: 0: all losses see all pairs. 1: tokens and regions of mismatched pairs are not predicted. 2: no
            mismatched pairs and no alignment; needs the form "matched". Numbered as in vilbert-multi-task.
        max_text_length: Word pieces a text keeps, special tokens included.
        token_mask_probability: Share of tokens to predict.
        region_mask_probability: Share of regions to predict.
        overlap_threshold: IoU above which neighbours of a masked region are left out of the global region's mean: 0.4
            in vilbert-multi-task and VOLTA. None: all count (vilbert_beta).
    """

    regions: str | None = None
    captions: str | None = None
    train_split: str | None = None
    val_regions: str | None = None
    val_captions: str | None = None
    val_split: str | None = None
    caption_image_id: Literal["file_name", "cocoid"] = "file_name"
    streaming: bool = False
    shuffle_images: int = 1024
    cache_dir: str | None = None
    num_workers: int = 0
    caption_form: PreTrainingForm = "caption"
    mismatch_probability: float = 0.5
    objective: Literal[0, 1, 2] = 0
    max_text_length: int = 36
    token_mask_probability: float = 0.15
    region_mask_probability: float = 0.15
    overlap_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse an objective and a form that contradict each other."""
        if self.objective == 2 and self.caption_form != "matched":
            raise ValueError(
                f"objective 2 has no mismatched pairs, but caption_form {self.caption_form!r} makes them: set "
                "caption_form to 'matched'"
            )

    @property
    def has_validation(self) -> bool:
        """Whether there is something to evaluate on."""
        return any((self.val_regions, self.val_captions, self.val_split))


@dataclass
@described
class TrainingArguments:
    """How the training goes on.

    Args:
        output_dir: Where the model, the checkpoints and the log go. All processes must see the same folder.
        seed: Seed of weights, dropout, order, false captions and masks.
        batch_size: Examples an optimizer step, of all processes and micro-batches together.
        micro_batch_size: Examples a forward pass of one process. By default all of a process's share of `batch_size`;
            less saves memory and gives the same gradients, dropout aside.
        eval_batch_size: Examples a forward pass in evaluation. By default `micro_batch_size`.
        num_epochs: Passes over the data, when `max_steps` is not given.
        max_steps: Optimizer steps.
        learning_rate: Highest learning rate.
        warmup_ratio: Share of the steps in which the learning rate rises linearly; then it falls linearly to 0.
        warmup_steps: Steps in which the learning rate rises, instead of `warmup_ratio`.
        weight_decay: Decay of AdamW, on everything but biases and layer norms.
        adam_beta1: Decay of AdamW's mean of gradients.
        adam_beta2: Decay of AdamW's mean of squared gradients.
        adam_epsilon: Epsilon of AdamW.
        max_grad_norm: Norm to which gradients are clipped, 0 for no clipping.
        mixed_precision: "no", "bf16" or "fp16". By default what `accelerate launch` was told.
        logging_steps: Steps between two entries of the log.
        eval_steps: Steps between two evaluations. By default one at the end.
        save_steps: Steps between two checkpoints. By default one at the end.
        save_total_limit: Checkpoints to keep, the newest ones. All by default.
        resume_from_checkpoint: A checkpoint folder of `output_dir` to continue exactly, or "latest"; "latest" starts
            from the beginning when there is none, so one command serves first start and restart.
        expected_processes: Warn when another number of processes was launched.
        use_cpu: Whether to stay on the CPU though the machine has an accelerator.
        tensorboard: Whether to write TensorBoard files besides `log.jsonl`.
        tiny: Try a command out: a few steps of a tiny model of the same kind, on the data given or on built-in scenes.
    """

    output_dir: str | None = None
    seed: int = 0
    batch_size: int = 256
    micro_batch_size: int | None = None
    eval_batch_size: int | None = None
    num_epochs: float = 10.0
    max_steps: int | None = None
    learning_rate: float = 1e-4
    warmup_ratio: float = 0.1
    warmup_steps: int | None = None
    weight_decay: float = 0.01
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    mixed_precision: Literal["no", "bf16", "fp16"] | None = None
    logging_steps: int = 50
    eval_steps: int | None = None
    save_steps: int | None = None
    save_total_limit: int | None = None
    resume_from_checkpoint: str | None = None
    expected_processes: int | None = None
    use_cpu: bool = False
    tensorboard: bool = True
    tiny: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        least = dict.fromkeys(
            ("batch_size", "micro_batch_size", "eval_batch_size", "max_steps", "logging_steps", "eval_steps"), 1
        )
        least |= {"save_steps": 1, "save_total_limit": 1, "expected_processes": 1}
        least |= {"seed": 0, "learning_rate": 0, "warmup_ratio": 0, "warmup_steps": 0, "max_grad_norm": 0}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"{name} must be at least {bound}, got {value}")


@dataclass
class PreTrainingArguments:
    """All arguments of a pre-training run.

    Args:
        model: Which model.
        data: On what.
        training: How.
    """

    model: ModelArguments
    data: DataArguments
    training: TrainingArguments

    def to_dict(self) -> dict[str, Any]:
        """All arguments by name, without their groups."""
        return {name: value for group in dataclasses.asdict(self).values() for name, value in group.items()}


def parse_pretraining_arguments(arguments: Sequence[str]) -> PreTrainingArguments:
    """Read a command line `[RECIPE.yaml] [--name value ...]`; what stands on it wins over the recipe.

    Args:
        arguments: The words of the command line, without the program.

    Returns:
        The arguments.

    Raises:
        FileNotFoundError: If there is no such recipe.
        ValueError: If the recipe names something unknown or has an impossible value (the message names key and file),
            or if arguments contradict each other.
    """
    parser = HfArgumentParser(
        (ModelArguments, DataArguments, TrainingArguments),
        usage="%(prog)s [RECIPE.yaml] [--name value ...]",
        allow_abbrev=False,
    )
    words = list(arguments)
    if words and words[0].endswith(RECIPE_SUFFIXES):
        words = [*_recipe_words(Path(words[0]), parser), *words[1:]]
    parsed, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    values = vars(parsed)
    return PreTrainingArguments(
        *(group(**{f.name: values[f.name] for f in dataclasses.fields(group)}) for group in parser.dataclass_types)
    )


def _recipe_words(path: Path, parser: HfArgumentParser) -> list[str]:
    """The recipe as words of a command line, so that both are checked by the same rules."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}")
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from None
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} must map argument names to values, got {type(recipe).__name__}")
    known = [field.name for group in parser.dataclass_types for field in dataclasses.fields(group)]
    for key in recipe:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{path}: there is no argument {key!r}{hint}")
    words = []
    parser.exit_on_error = False
    for key, value in recipe.items():
        if value is None:
            continue
        # With "=": a value may begin with a dash.
        words.append(f"--{key}={json.dumps(value) if isinstance(value, dict | bool) else value}")
        try:
            parser.parse_known_args(words[-1:])
        except argparse.ArgumentError as error:
            raise ValueError(f"{path}: {error}") from None
    parser.exit_on_error = True
    return words
