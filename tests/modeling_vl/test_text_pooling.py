"""What the text pooler reads: the first state, or the mean of the text's own states."""

from __future__ import annotations

import pytest
import torch

from modeling_vl import ViLBertModel, VisualBertModel
from tests.tiny_models import TEXT, tiny_inputs, tiny_model, vilbert_config

PAIRS = torch.tensor([[0, 1], [1, 1], [2, 0], [1, 2]])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("model_class", [ViLBertModel, VisualBertModel])
def test_a_mean_leaves_out_padding_and_regions(model_class: type, pairs: torch.Tensor | None, packed: bool) -> None:
    model = tiny_model(model_class, text_pooling="mean", pooler_act="linear", packed_execution=packed)
    inputs = tiny_inputs()
    pooler = model.text_pooler if model_class is ViLBertModel else model.pooler
    outputs = model(**inputs, pair_index=pairs)
    rows = torch.arange(3) if pairs is None else pairs[:, 0]
    for row, pooled, states in zip(rows, outputs.pooler_output, outputs.last_hidden_state, strict=True):
        real = inputs["attention_mask"][row].bool()
        torch.testing.assert_close(pooled, pooler.dense(states[:TEXT][real].mean(0)))


def test_a_text_without_padding_is_read_whole() -> None:
    model = tiny_model(VisualBertModel, text_pooling="mean", pooler_act="linear")
    outputs = model(**tiny_inputs(padded=False))
    expected = model.pooler.dense(outputs.last_hidden_state[:, :TEXT].mean(1))
    torch.testing.assert_close(outputs.pooler_output, expected)


def test_it_is_the_first_state_unless_asked_for() -> None:
    model = tiny_model(ViLBertModel, pooler_act="linear")
    outputs = model(**tiny_inputs())
    torch.testing.assert_close(outputs.pooler_output, model.text_pooler.dense(outputs.last_hidden_state[:, 0]))
    with pytest.raises(ValueError, match="text_pooling must be one of"):
        vilbert_config(text_pooling="last")
