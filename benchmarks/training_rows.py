"""Training steps: pre-training and fine-tuning against transformers' VisualBERT and a plain ViLBERT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import modeling_vl
from configuration_vl import ViLBertConfig, VisualBertConfig

from .batches import (
    REGION_COUNTS,
    TEXT_LENGTHS,
    Batch,
    draw_lengths,
    padded_to,
    pretraining_batch,
    read_batch,
    work_of,
)
from .bound import linear_shapes, needed_flops
from .contest import OURS, Side, compare_steps
from .peers import plain_vilbert_loss, transformers_twin

BATCH_SIZE = 16
FIXED, LONGEST = "transformers, padded to 36+36", "transformers, padded to the longest"
TRANSFORMERS, PLAIN = "transformers, padded", "plain ViLBERT, padded to 36+37"
MAX_TEXT, MAX_REGIONS = 36, 36


def loss_of(batch: Mapping[str, Tensor]) -> Callable[[nn.Module], Tensor]:
    """A function that computes a model's own loss of `batch`."""
    return lambda model: model(**batch).loss


def visualbert_pretraining(bf16: bool = False, peer_bf16: bool | None = None, **sizes: int) -> dict[str, Any]:
    """A pre-training step of VisualBERT base against transformers', padded to a fixed length and to the longest.

    Args:
        bf16: Whether ours runs under bfloat16 autocast.
        peer_bf16: The same for the peer; None for as ours does.
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns, and the memory of both.
    """
    torch.manual_seed(0)
    config = VisualBertConfig(**sizes)
    ours = modeling_vl.VisualBertForPreTraining(config)
    theirs, their_bf16 = transformers_twin(ours), bf16 if peer_bf16 is None else peer_bf16
    batch = lengths_as_in_real_data(config)
    sides = {
        OURS: Side(ours, loss_of(batch), bf16),
        FIXED: Side(theirs, loss_of(in_transformers_form(padded_to(batch, MAX_TEXT, MAX_REGIONS))), their_bf16),
        LONGEST: Side(theirs, loss_of(in_transformers_form(batch)), their_bf16),
    }
    result = compare_steps(sides, pretraining_flops(ours, batch), real_tokens(batch))
    if not bf16:
        memory = {name: side.memory() for name, side in sides.items()}
        result["memory"] = {"bytes": memory, "ratio": memory[OURS] / memory[FIXED]}
    return result


def vilbert_pretraining(bf16: bool = False, **sizes: Any) -> dict[str, Any]:
    """A pre-training step of the 6-layer ViLBERT against the plain way: padded, all logits.

    Args:
        bf16: Whether both run under bfloat16 autocast.
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns.
    """
    torch.manual_seed(0)
    config = ViLBertConfig(**sizes)
    ours = modeling_vl.ViLBertForPreTraining(config)
    plain = modeling_vl.ViLBertForPreTraining(ViLBertConfig(**sizes, packed_execution=False))
    plain.load_state_dict(ours.state_dict())
    plain.set_attn_implementation("eager")
    batch = lengths_as_in_real_data(config)
    padded = padded_to(batch, MAX_TEXT, MAX_REGIONS + 1)
    sides = {
        OURS: Side(ours, loss_of(batch), bf16),
        PLAIN: Side(plain, lambda model: plain_vilbert_loss(model, padded), bf16),
    }
    return compare_steps(sides, pretraining_flops(ours, batch), real_tokens(batch))


def padded_blocks(**sizes: int) -> dict[str, Any]:
    """Our layers, padded and eager, against transformers' on the same padded batch: does packing hide slow layers?

    Args:
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns; the bound is 1.
    """
    torch.manual_seed(0)
    config = VisualBertConfig(**sizes, packed_execution=False)
    ours = modeling_vl.VisualBertForPreTraining(config)
    ours.set_attn_implementation("eager")
    theirs = transformers_twin(ours).visual_bert
    batch = padded_to(lengths_as_in_real_data(config), MAX_TEXT, MAX_REGIONS)
    inputs = {name: value for name, value in batch.items() if name.startswith(("input", "attention", "visual"))}
    inputs["visual_token_type_ids"] = torch.zeros_like(inputs["visual_attention_mask"])

    def loss(model: nn.Module) -> Tensor:
        return model(**inputs).pooler_output.square().mean()

    sides = {OURS: Side(ours.visual_bert, loss), TRANSFORMERS: Side(theirs, loss)}
    return compare_steps(sides, sides[OURS].flops(), real_tokens(batch))


def vqa(**sizes: int) -> dict[str, Any]:
    """A fine-tuning step of VQA: questions of 6 to 20 word pieces, padded to 23 by the peer.

    Args:
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns.
    """
    config = VisualBertConfig(**{"num_labels": 3129, **sizes})
    ours = _fresh(modeling_vl.VisualBertForVisualQuestionAnswering, config)
    batch = read_batch(config, *_draw(BATCH_SIZE, (6, 20), REGION_COUNTS))
    scores = torch.rand(BATCH_SIZE, config.num_labels) * (torch.rand(BATCH_SIZE, config.num_labels) < 0.001)
    batch["labels"] = scores
    work = work_of(
        {name: value for name, value in batch.items() if name != "labels"},
        text_read=np.ones(BATCH_SIZE, dtype=np.int64),  # the [MASK]
        regions_read=np.zeros(BATCH_SIZE, dtype=np.int64),
        heads=linear_shapes(ours.cls, BATCH_SIZE),
    )
    theirs = {**padded_to(_without(batch, "labels"), 23, MAX_REGIONS), "labels": scores}
    return _against_transformers(ours, batch, theirs, work)


def vcr(**sizes: int) -> dict[str, Any]:
    """A fine-tuning step of VCR: 4 choices of 20 to 60 word pieces for each image, padded to 60 by the peer.

    Args:
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns.
    """
    examples, choices = 4, 4
    config = VisualBertConfig(**sizes)
    ours = _fresh(modeling_vl.VisualBertForMultipleChoice, config)
    text_lengths, region_counts = _draw(examples, (20, 60), REGION_COUNTS, choices)
    batch = read_batch(config, text_lengths, region_counts)
    pairs = np.stack((np.arange(examples * choices), np.repeat(np.arange(examples), choices)), axis=1)
    rows = examples * choices
    work = work_of(
        batch,
        pairs,
        text_read=np.ones(rows, dtype=np.int64),
        regions_read=np.zeros(rows, dtype=np.int64),
        heads=[*linear_shapes(ours.visual_bert.pooler, rows), *linear_shapes(ours.cls, rows)],
    )
    labels = {"labels": torch.arange(examples) % choices}
    theirs = padded_to(batch, 60, MAX_REGIONS)
    theirs = {
        name: value.view(examples, choices, -1)
        if value.shape[0] == rows
        else value[:, None].expand(-1, choices, *value.shape[1:]).contiguous()
        for name, value in theirs.items()
    }
    batch = {
        name: value.view(examples, choices, -1) if value.shape[0] == rows else value for name, value in batch.items()
    }
    return _against_transformers(ours, {**batch, **labels}, {**theirs, **labels}, work)


def nlvr2(**sizes: int) -> dict[str, Any]:
    """A fine-tuning step of NLVR2: a statement of 10 to 40 word pieces and two images, padded to 40 by the peer.

    Args:
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns.
    """
    examples = 8
    config = VisualBertConfig(**{"num_labels": 2, "num_images": 2, "image_pair_method": "sequence", **sizes})
    ours = _fresh(modeling_vl.VisualBertForSequenceClassification, config)
    text_lengths, first = _draw(examples, (10, 40), REGION_COUNTS)
    both = np.stack((first, _draw(examples, (10, 40), REGION_COUNTS, seed=1)[1]), axis=1)
    batch = read_batch(config, text_lengths, both.flatten())
    work = work_of(
        {"attention_mask": batch["attention_mask"], "visual_attention_mask": torch.ones(examples, 1)},
        text_read=np.ones(examples, dtype=np.int64),
        regions_read=np.zeros(examples, dtype=np.int64),
        region_counts=both.sum(1),
        heads=[*linear_shapes(ours.visual_bert.pooler, examples), *linear_shapes(ours.cls, examples)],
    )
    labels = {"labels": torch.arange(examples) % 2}
    two = {name: x.unflatten(0, (examples, 2)) if name.startswith("visual") else x for name, x in batch.items()}
    theirs = padded_to(batch, 40, MAX_REGIONS)
    theirs = {
        name: x.unflatten(0, (examples, 2)).flatten(1, 2) if name.startswith("visual") else x
        for name, x in theirs.items()
    }
    types = torch.arange(2).repeat_interleave(MAX_REGIONS).expand(examples, -1)
    return _against_transformers(ours, {**two, **labels}, {**theirs, **labels, "visual_token_type_ids": types}, work)


def lengths_as_in_real_data(config: Any, batch_size: int = BATCH_SIZE) -> Batch:
    """A pre-training batch of `batch_size` captions and photos for the model of `config`."""
    rng = np.random.default_rng(0)
    text_lengths = draw_lengths(rng, batch_size, TEXT_LENGTHS)
    return pretraining_batch(config, text_lengths, draw_lengths(rng, batch_size, REGION_COUNTS))


def real_tokens(batch: Mapping[str, Tensor]) -> int:
    """Word pieces and regions of `batch` that are no padding."""
    return int(batch["attention_mask"].sum() + batch["visual_attention_mask"].sum())


def in_transformers_form(batch: Mapping[str, Tensor]) -> Batch:
    """`batch` with labels over the regions too, and region types of 0, as the weights were trained."""
    mask = batch["visual_attention_mask"]
    labels = nn.functional.pad(batch["labels"], (0, mask.shape[1]), value=-100)
    return {**batch, "labels": labels, "visual_token_type_ids": torch.zeros_like(mask)}


def pretraining_flops(model: nn.Module, batch: Mapping[str, Tensor]) -> int:
    """Operations that a pre-training step of `model` on `batch` needs."""
    rows = len(batch["input_ids"])
    base, heads = model.base_model, model.cls
    shapes = [shape for name, part in base.named_children() if "pooler" in name for shape in linear_shapes(part, rows)]
    shapes += linear_shapes(heads.predictions, int((batch["labels"] != -100).sum()))
    shapes += linear_shapes(heads.seq_relationship, rows)
    if "region_labels" in batch:
        shapes += linear_shapes(heads.region_predictions, int((batch["region_labels"] == 1).sum()))
    fields: dict[str, Any] = {"heads": shapes}
    if model.config.model_type == "visualbert":
        fields["regions_read"] = np.zeros(rows, dtype=np.int64)
    return needed_flops(model.config, work_of(batch, **fields))


def _fresh(model_class: type[nn.Module], config: Any) -> nn.Module:
    torch.manual_seed(0)
    return model_class(config)


def _draw(
    examples: int, text: tuple[int, int], regions: tuple[int, int], choices: int = 1, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return draw_lengths(rng, examples * choices, text), draw_lengths(rng, examples, regions)


def _without(batch: Mapping[str, Tensor], name: str) -> Batch:
    return {key: value for key, value in batch.items() if key != name}


def _against_transformers(ours: nn.Module, batch: Batch, theirs: Batch, work: Any) -> dict[str, Any]:
    if "visual_token_type_ids" not in theirs:
        theirs["visual_token_type_ids"] = torch.zeros_like(theirs["visual_attention_mask"])
    twin = transformers_twin(ours)
    sides = {OURS: Side(ours, loss_of(batch)), TRANSFORMERS: Side(twin, loss_of(theirs))}
    return compare_steps(sides, needed_flops(ours.config, work), real_tokens(batch))
