"""Our models do the operations that the mathematics needs, and no others."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.batches import draw_lengths, pretraining_batch, read_batch, work_of
from benchmarks.bound import linear_shapes, needed_flops
from benchmarks.contest import Side
from benchmarks.measuring import count_flops
from benchmarks.training_rows import loss_of, pretraining_flops
from configuration_vl import ViLBertConfig, VisualBertConfig
from modeling_vl import ViLBertForPreTraining, VisualBertForPreTraining
from modeling_vl.retrieval import score_pairs

TEXT_SIZES = {"vocab_size": 3000, "hidden_size": 192, "num_attention_heads": 4, "intermediate_size": 768}
SIZES = {**TEXT_SIZES, "visual_embedding_dim": 64, "max_position_embeddings": 64, "num_region_classes": 40}
VILBERT = ViLBertConfig(
    **SIZES,
    num_hidden_layers=5,
    visual_hidden_size=256,
    visual_num_hidden_layers=3,
    visual_intermediate_size=256,
    coattention_hidden_size=128,
    text_coattention_ids=[2, 4],
    visual_coattention_ids=[1, 2],
)
MEETING_LAST = ViLBertConfig(
    **{**VILBERT.to_dict(), "text_coattention_ids": [2, 5], "visual_coattention_ids": [0, 3], "pooler_size": 100}
)
MODELS = {
    "VisualBERT": (VisualBertForPreTraining, VisualBertConfig(**SIZES, num_hidden_layers=3)),
    "ViLBERT": (ViLBertForPreTraining, VILBERT),
    "ViLBERT that ends with a meeting": (ViLBertForPreTraining, MEETING_LAST),
}
every_model = pytest.mark.parametrize("name", MODELS)


def equal_batch(config: Any) -> dict[str, torch.Tensor]:
    """Without padding; every example predicts one word and, where regions are predicted, one region."""
    batch = pretraining_batch(config, np.full(4, 10), np.full(4, 7))
    batch["labels"] = torch.full_like(batch["labels"], -100)
    batch["labels"][:, 3] = 5
    if "region_labels" in batch:
        batch["region_labels"] = torch.full_like(batch["region_labels"], -100)
        batch["region_labels"][:, 2] = 1
    return batch


@every_model
def test_a_step_does_exactly_the_operations_that_are_needed(name: str) -> None:
    model_class, config = MODELS[name]
    model, batch = model_class(config), equal_batch(config)
    assert Side(model, loss_of(batch)).flops() == pretraining_flops(model, batch)


@every_model
def test_of_padding_only_that_inside_attention_costs(name: str) -> None:
    model_class, config = MODELS[name]
    rng = np.random.default_rng(0)
    batch = pretraining_batch(config, draw_lengths(rng, 8, (8, 21)), draw_lengths(rng, 8, (10, 36)))
    model = model_class(copy.deepcopy(config))
    needed = pretraining_flops(model, batch)
    assert needed < Side(model, loss_of(batch)).flops() < 1.04 * needed
    model.config.packed_execution = False
    assert Side(model, loss_of(batch)).flops() > 1.5 * needed


@pytest.mark.parametrize("config", [VILBERT, MEETING_LAST], ids=["layers last", "meeting last"])
def test_scoring_pairs_computes_once_what_they_share(config: ViLBertConfig) -> None:
    model = ViLBertForPreTraining(config).eval()
    model.set_attn_implementation("eager")
    batch = read_batch(config, np.full(5, 9), np.full(6, 11))
    texts, images = (
        {key: value for key, value in batch.items() if key.startswith("visual") == visual} for visual in (False, True)
    )
    pairs = np.stack(np.divmod(np.arange(30), 6), axis=1)
    ones = np.ones(30, dtype=np.int64)
    parts = (model.vilbert.text_pooler, model.vilbert.visual_pooler, model.cls.seq_relationship)
    heads = [shape for part in parts for shape in linear_shapes(part, 30)]
    work = work_of(batch, pairs, text_read=ones, regions_read=ones, heads=heads, training=False)
    assert count_flops(lambda: score_pairs(model, texts, images)) == needed_flops(config, work)
    written_out = work_of(
        {key: value[pairs[:, int(key.startswith("visual"))]] for key, value in batch.items()},
        text_read=ones,
        regions_read=ones,
        heads=heads,
        training=False,
    )
    assert needed_flops(config, work) < 0.9 * needed_flops(config, written_out)


def test_linear_shapes_of_a_head() -> None:
    head = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    assert linear_shapes(head, 7) == [(7, 3, 4), (7, 4, 2)]
