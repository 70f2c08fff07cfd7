"""Arguments of a pre-training run, and those that all runs have."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from datasets_vl.pretraining import PreTrainingForm

from .recipes import ArgumentGroup, described, parse_groups

Data = TypeVar("Data", bound="RegionArguments")


@dataclass
@described
class ModelArguments(ArgumentGroup):
    """Which model to train, and what it starts from.

    Args:
        config: A released size by name ("vilbert-base-6", see `configuration_vl.RELEASED_CONFIGS`), a class's defaults
            ("vilbert", "visualbert"), or a config file or folder.
        config_overrides: Fields of the config to change: a mapping in a recipe, JSON on the command line.
        from_bert: A BERT folder or Hub id whose weights the text layers start from.
        from_pretrained: A folder or Hub id saved by an earlier run, with its processor, whose weights, config and
            processor this run starts from. Which weights are new is said in the log.
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
            given = [name for name in ("config", "from_bert") if getattr(self, name)]
            if given:
                raise ValueError(f"from_pretrained brings its own config and weights: leave out {', '.join(given)}")


@dataclass
@described
class RegionArguments(ArgumentGroup):
    """Where the images come from.

    Args:
        regions: Folder of Parquet shards of region features; with `streaming` also an address such as
            hf://datasets/user/name.
        val_regions: Shards of the validation images, when they are not in `regions`.
        streaming: Whether to read the shards as a stream, in constant memory and without a copy on the local disk.
        shuffle_images: Images every reader of a stream shuffles among.
        cache_dir: Where local data keep their memory-mapped Arrow copy. By default beside the shards.
        num_workers: Worker processes that prepare batches, for each process. A resumed stream needs the same number.
    """

    regions: str | None = None
    val_regions: str | None = None
    streaming: bool = False
    shuffle_images: int = 1024
    cache_dir: str | None = None
    num_workers: int = 0


@dataclass
@described
class DataArguments(RegionArguments):
    """What is read, and what an image and its captions are turned into.

    Args:
        captions: Caption file: Karpathy or COCO json, {image id: captions}, or JSON lines.
        train_split: Images to train on, where the caption file names splits: "train", or "train+restval".
        val_captions: Captions of the validation images, when they are not in `captions`.
        val_split: Images to evaluate on. Without this, `val_captions` and `val_regions` there is no evaluation.
        caption_image_id: What names an image in COCO layouts: the stem of its "file_name", or "cocoid", its number.
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

    captions: str | None = None
    train_split: str | None = None
    val_captions: str | None = None
    val_split: str | None = None
    caption_image_id: Literal["file_name", "cocoid"] = "file_name"
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
class TrainingArguments(ArgumentGroup):
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
        head_learning_rate: Highest learning rate of the heads, where it is another one.
        warmup_ratio: Share of the steps in which the learning rate rises linearly.
        warmup_steps: Steps in which the learning rate rises, instead of `warmup_ratio`.
        schedule: What the learning rate does after its rise: "linear" falls to 0 at the last step, "constant" stays.
        drop_epochs: Epochs at whose beginning a constant learning rate drops (vilbert_beta: 12 16; vilbert-multi-task:
            5 7).
        drop_factor: What it is multiplied by each time.
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
        tiny: Try a command out: a few steps of a tiny model of the same kind with fresh weights, on the data given or
            on built-in scenes. Typed options win over its values.
    """

    output_dir: str | None = None
    seed: int = 0
    batch_size: int = 256
    micro_batch_size: int | None = None
    eval_batch_size: int | None = None
    num_epochs: float = 10.0
    max_steps: int | None = None
    learning_rate: float = 1e-4
    head_learning_rate: float | None = None
    warmup_ratio: float = 0.1
    warmup_steps: int | None = None
    schedule: Literal["linear", "constant"] = "linear"
    drop_epochs: list[float] | None = None
    drop_factor: float = 0.1
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
        least |= {
            "seed": 0,
            "learning_rate": 0,
            "head_learning_rate": 0,
            "drop_factor": 0,
            "warmup_ratio": 0,
            "warmup_steps": 0,
            "max_grad_norm": 0,
        }
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise ValueError(f"{name} must be at least {bound}, got {value}")
        if self.drop_epochs and self.schedule != "constant":
            raise ValueError(f"drop_epochs belongs to the schedule 'constant', the schedule is {self.schedule!r}")


@dataclass
class RunArguments(Generic[Data]):
    """All arguments of a run.

    Args:
        model: Which model.
        data: On what.
        training: How.
    """

    model: ModelArguments
    data: Data
    training: TrainingArguments

    def to_dict(self) -> dict[str, Any]:
        """All arguments by name, without their groups."""
        return {name: value for group in dataclasses.asdict(self).values() for name, value in group.items()}


def parse_pretraining_arguments(
    arguments: Sequence[str], *, description: str | None = None
) -> RunArguments[DataArguments]:
    """Read the command line of a pre-training run, see `recipes.parse_groups`.

    Args:
        arguments: The words of the command line, without the program.
        description: Text above the list of arguments in the help.

    Returns:
        The arguments.
    """
    groups = (ModelArguments, DataArguments, TrainingArguments)
    return RunArguments(*parse_groups(groups, arguments, description=description))
