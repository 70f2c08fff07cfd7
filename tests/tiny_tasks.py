"""Small task models of both kinds with a batch of inputs and labels for each task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import modeling_vl
from tests.tiny_models import (
    BATCH,
    PRETRAINING_CLASSES,
    REGIONS,
    TEXT,
    VOCABULARY,
    tiny_inputs,
    tiny_labels,
    tiny_model,
)

MODELS = ["ViLBert", "VisualBert"]
TEXT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
CHOICES = 4
TASK_FIELDS: dict[str, dict[str, Any]] = {
    "VisualQuestionAnswering": {"num_labels": 5},
    "MultipleChoice": {},
    "SequenceClassification": {"num_labels": 3},
    "ImageTextRetrieval": {},
    "RegionGrounding": {},
    "PhraseGrounding": {},
    "MaskedLM": {},
}
TASKS = list(TASK_FIELDS)

both = pytest.mark.parametrize("model", MODELS)
every_task = pytest.mark.parametrize("task", TASKS)


def task_class(model: str, task: str) -> type:
    """The class of one task."""
    return getattr(modeling_vl, f"{model}For{task}")


def task_model(model: str, task: str, **fields: Any) -> Any:
    """A tiny model in evaluation mode, whose weights make differences show."""
    return tiny_model(task_class(model, task), **{**TASK_FIELDS[task], **fields})


def save_pretrained_models(parent: Path) -> dict[str, Path]:
    """Folders below `parent` with a pre-trained model of each kind, by the first part of its class's name."""
    folders = {}
    for name, model_class in zip(MODELS, PRETRAINING_CLASSES, strict=True):
        folders[name] = parent / name
        tiny_model(model_class).save_pretrained(folders[name])
    return folders


def choice_texts(inputs: dict[str, Tensor], seed: int = 3) -> dict[str, Tensor]:
    """`CHOICES` texts an example `[B, C, T]` in place of one, each of its own words and length."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(1, VOCABULARY, (BATCH, CHOICES, TEXT), generator=generator)
    lengths = torch.randint(3, TEXT + 1, (BATCH, CHOICES, 1), generator=generator)
    return {
        **inputs,
        "input_ids": words,
        "token_type_ids": inputs["token_type_ids"][:, None].expand_as(words),
        "attention_mask": (torch.arange(TEXT) < lengths).long(),
    }


def task_inputs(task: str, padded: bool = True) -> dict[str, Tensor]:
    """What the class of a task reads besides labels."""
    inputs = tiny_inputs(padded)
    if task == "MultipleChoice":
        return choice_texts(inputs)
    if task == "PhraseGrounding":
        return {**inputs, "phrase_positions": torch.tensor([[1, 8, 4], [2, -1, -1], [4, 5, -1]])}
    return inputs


def task_labels(task: str, seed: int = 4) -> dict[str, Any]:
    """What the class of a task needs for its loss."""
    generator = torch.Generator().manual_seed(seed)
    overlaps = torch.rand(BATCH, REGIONS, generator=generator) * tiny_inputs()["visual_attention_mask"]
    if task == "VisualQuestionAnswering":
        return {"labels": torch.rand(BATCH, 5, generator=generator)}
    if task == "RegionGrounding":
        return {"labels": overlaps}
    if task == "PhraseGrounding":
        there = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]])[..., None]
        return {"labels": overlaps[:, None] / overlaps.sum(1)[:, None, None] * there}
    if task == "ImageTextRetrieval":
        return {"return_loss": True}
    if task == "MaskedLM":
        return {"labels": tiny_labels(regions=False)["labels"]}
    return {"labels": torch.tensor([1, 0, 2])}
