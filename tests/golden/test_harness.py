"""The harness notices what it is there to notice."""

from __future__ import annotations

import pytest
import torch

from tests.golden import fixtures, vilbert_outputs
from tests.golden.harness import Case, compare
from tests.golden.parity import outputs_of


@pytest.fixture
def golden():
    name = next(name for name in fixtures.names_in(fixtures.COMMITTED) if name.endswith("ForMultiModalPreTraining"))
    return fixtures.load(fixtures.COMMITTED, name)


def differences(golden, layout="padded"):
    outputs = outputs_of(golden)
    return {
        c.name: c.difference for c in compare(Case(golden, "eager", layout), outputs.produce, outputs.not_compared)
    }


def test_an_output_that_nobody_compares_is_an_error(golden):
    golden.outputs["never_heard_of"] = torch.zeros(3)
    with pytest.raises(AssertionError, match="never_heard_of is neither compared nor left out"):
        differences(golden)


def test_a_wrong_number_shows(golden):
    golden.outputs["sequence_output_t"][0, 0, 0] += 0.25
    assert differences(golden)["sequence_output_t"] == pytest.approx(0.25, abs=1e-4)


def test_not_a_number_shows(golden):
    golden.outputs["masked_lm_loss"][0] = float("nan")
    assert not differences(golden)["masked_lm_loss"] <= 1e-5


def test_an_output_of_another_shape_is_an_error(golden):
    golden.outputs["pooled_output_t"] = golden.outputs["pooled_output_t"][:, :-1]
    with pytest.raises(AssertionError, match="pooled_output_t: ours is"):
        differences(golden)


def test_packed_states_that_are_not_zero_at_padding_are_an_error(golden, monkeypatch):
    mask = golden.inputs["attention_mask"]
    assert not mask.all()
    whole = vilbert_outputs.model_inputs
    unmasked = {"attention_mask": torch.ones_like(mask)}
    monkeypatch.setattr(vilbert_outputs, "model_inputs", lambda case: {**whole(case), **unmasked})
    monkeypatch.setattr(vilbert_outputs, "masks", lambda inputs: (mask, inputs["visual_attention_mask"]))
    with pytest.raises(AssertionError, match="packed execution left something at padding"):
        differences(golden, "packed")


def test_a_file_that_no_rule_knows_is_an_error():
    with pytest.raises(ValueError, match="no rule says what to do with the golden file vilbert_gamma_A_BertModel"):
        fixtures.code_base_of("vilbert_gamma_A_BertModel")
