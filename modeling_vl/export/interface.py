"""What goes into an exported model: names, shapes and values of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from configuration_vl.configuration_vilbert import ViLBertConfig

from ..image_text_retrieval import ImageTextRetrieval
from ..modeling_multi_task import MultiTaskMixin
from ..multiple_choice import MultipleChoice
from ..phrase_grounding import NO_PHRASE, PhraseGrounding
from ..sequence_classification import SequenceClassification
from ..task_models import Task

FURTHER_INPUTS = ("position_ids", "visual_token_type_ids", "image_text_alignment")
"""Inputs that an exported model has only when they are asked for; without one it computes what the model does."""

SHORTEST_TEXT = 2
"""Every text has a `[CLS]` and a `[SEP]`."""

TRACED_SIZES = {
    "batch": 3,
    "texts": 3,
    "images": 4,
    "text": 7,
    "regions": 5,
    "choices": 4,
    "phrases": 6,
    "links": 2,
}
"""Sizes of the free axes while a model is traced: above 1, which a trace could take for a constant."""


Axes = tuple[str | int, ...]
"""For every dimension the name of a size that is free, or a fixed size."""


class Input(NamedTuple):
    """One input of an exported model.

    Attributes:
        axes: Of its dimensions.
        values: The integers it may hold, or None for floating-point numbers.
    """

    axes: Axes
    values: range | None = None

    @property
    def dtype(self) -> torch.dtype:
        """int64, or float32 for floating-point numbers."""
        return torch.float32 if self.values is None else torch.int64


def task_of(model: PreTrainedModel, task: str | None) -> Task | None:
    """The task that a model does.

    Args:
        model: Any class of this package.
        task: A key of `multi_task_heads`, for multi-task models.

    Returns:
        The task; None for models without one.

    Raises:
        ValueError: When a multi-task model is not told which of its tasks, or another model is told one.
    """
    if isinstance(model, MultiTaskMixin):
        if task not in model.tasks:
            raise ValueError(f"a multi-task model is exported a task at a time: name one of {list(model.tasks)}")
        return model.tasks[task]
    if task is not None:
        raise ValueError(f"task {task!r} is named, but {type(model).__name__} has no multi_task_heads: leave it out")
    return getattr(model, "task", None)


def inputs_of(model: PreTrainedModel, task: str | None = None, further: Sequence[str] = ()) -> dict[str, Input]:
    """The inputs of a model once it is exported: what its processor makes, masks included.

    Args:
        model: Any class of this package.
        task: A key of `multi_task_heads`, for multi-task models.
        further: Of `FURTHER_INPUTS`.

    Returns:
        Inputs by name.

    Raises:
        ValueError: For a task or an input that the model does not have.
    """
    config, kind = model.config, task_of(model, task)
    texts, images = ("batch", "text"), ("batch", "regions")
    if isinstance(kind, ImageTextRetrieval):
        texts, images = ("texts", "text"), ("images", "regions")
    elif isinstance(kind, MultipleChoice):
        texts = ("batch", "choices", "text")
    elif isinstance(kind, SequenceClassification) and kind.config.num_images == 2:
        images = ("batch", 2, "regions")
    one_or_zero = range(2)
    inputs = {
        "input_ids": Input(texts, range(config.vocab_size)),
        "attention_mask": Input(texts, one_or_zero),
        "token_type_ids": Input(texts, range(config.type_vocab_size)),
        "visual_embeds": Input((*images, config.visual_embedding_dim)),
        "visual_attention_mask": Input(images, one_or_zero),
    }
    if config.visual_location_size:
        inputs["visual_locations"] = Input((*images, config.visual_location_size))
    if isinstance(kind, PhraseGrounding):
        inputs["phrase_positions"] = Input(("batch", "phrases"), range(NO_PHRASE, SHORTEST_TEXT))
    if getattr(config, "num_task_tokens", 0) and task is None:
        inputs["task_ids"] = Input(texts[:1], range(config.num_task_tokens))
    possible = _further_inputs(model, kind, texts, images)
    for name in further:
        if name not in possible:
            raise ValueError(
                f"{type(model).__name__} is not exported with {name}: what it can have besides is {list(possible)}"
            )
        inputs[name] = possible[name]
    return inputs


def _further_inputs(model: PreTrainedModel, kind: Task | None, texts: Axes, images: Axes) -> dict[str, Input]:
    config, links = model.config, range(-1, model.config.max_position_embeddings)
    possible = {"position_ids": Input(texts, range(config.max_position_embeddings))}
    if isinstance(config, ViLBertConfig):
        types = config.num_visual_token_types
    else:
        types = config.type_vocab_size
        if isinstance(kind, MultipleChoice):
            possible["image_text_alignment"] = Input((*texts[:2], "regions", "links"), links)
        elif not isinstance(kind, ImageTextRetrieval):  # where every pair has links of its own
            possible["image_text_alignment"] = Input((*images, "links"), links)
    if types:
        possible["visual_token_type_ids"] = Input(images, range(types))
    return possible


def unread_inputs(model: PreTrainedModel) -> set[str]:
    """Inputs that a model accepts so that one batch serves both models, and does not look at.

    Args:
        model: Any class of this package.

    Returns:
        Their names.
    """
    if isinstance(model.config, ViLBertConfig):
        return {"image_text_alignment"}
    return set() if model.config.visual_location_size else {"visual_locations"}


def text_lengths(model: PreTrainedModel) -> range:
    """The numbers of word pieces that an exported model reads.

    Args:
        model: Any class of this package.

    Returns:
        From those of an empty text, or where task tokens stand between of one with a word, to the longest.
    """
    shortest = SHORTEST_TEXT + (getattr(model.config, "num_task_tokens", 0) > 0)
    return range(shortest, model.config.max_position_embeddings + 1)


def checked_sizes(lengths: range) -> list[dict[str, int]]:
    """Sizes to run an exported model at, none of them those it was traced with.

    Args:
        lengths: What `text_lengths` says of the model.

    Returns:
        One of everything; a batch; the longest text with as many regions as detectors give.
    """
    one = dict.fromkeys(TRACED_SIZES, 1)
    return [
        {**one, "text": lengths[0]},
        {
            "batch": 5,
            "texts": 2,
            "images": 6,
            "text": min(12, lengths[-1]),
            "regions": 9,
            "choices": 2,
            "phrases": 3,
            "links": 4,
        },
        {**one, "text": lengths[-1], "regions": 101},
    ]


def random_inputs(inputs: Mapping[str, Input], sizes: Mapping[str, int], seed: int = 0) -> dict[str, Tensor]:
    """Inputs of some size, each row with padding of its own.

    Args:
        inputs: What `inputs_of` says of the model.
        sizes: Size of every free axis.
        seed: Of the values.

    Returns:
        Tensors by name.
    """
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (axes, values) in inputs.items():
        shape = [axis if isinstance(axis, int) else sizes[axis] for axis in axes]
        if values is None:
            tensors[name] = torch.rand(shape, generator=generator)
        elif name.endswith("attention_mask"):
            least = SHORTEST_TEXT if axes[-1] == "text" else 1
            lengths = torch.randint(least, shape[-1] + 1, (*shape[:-1], 1), generator=generator)
            tensors[name] = (torch.arange(shape[-1]) < lengths).long()
        else:
            tensors[name] = torch.randint(values.start, values.stop, shape, generator=generator)
    return tensors
