"""The harness notices what it is there to notice."""

from __future__ import annotations

import pytest
import torch

from tests.golden import fixtures, vilbert_outputs
from tests.golden.harness import Case, Ours, compare
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


def compare_with(golden, *ours):
    """Differences where our numbers are given by hand."""
    found = compare(Case(golden), lambda case: iter(ours), {".*": "not looked at here"})
    return {c.name: c.difference for c in found if c.difference is not None}


def test_an_output_that_one_class_gives_twice_is_an_error(golden):
    stored = golden.outputs["pooled_output_t"]
    first, second = (Ours("pooled", stored, by=name) for name in ("A", "B"))
    assert compare_with(golden, ("pooled_output_t", first), ("pooled_output_t", second)) == {"pooled_output_t": 0}
    with pytest.raises(AssertionError, match="pooled_output_t is compared twice"):
        compare_with(golden, ("pooled_output_t", first), ("pooled_output_t", first))


def test_padding_that_could_win_is_an_error(golden):
    golden.outputs["scores"] = torch.tensor([[1.0, 2.0, -9999.0], [3.0, 4.0, 5.0]])
    real = torch.tensor([[1, 1, 0], [0, 0, 0]])
    hopeless = torch.tensor([[1.0, 2.5, -1e30], [7.0, 7.0, 7.0]])
    assert compare_with(golden, ("scores", Ours("scores", hopeless, real))) == {"scores": 0.5}
    with pytest.raises(AssertionError, match="scores: padding could win"):
        compare_with(golden, ("scores", Ours("scores", hopeless.clamp(min=-5), real)))


@pytest.mark.parametrize(("stored", "difference"), [(3000.0, 0.5 / 1000), (30.0, 0.5)])
def test_only_a_sum_too_large_for_the_tolerance_is_compared_as_a_mean(golden, stored, difference):
    golden.outputs["loss"] = torch.tensor(stored)
    ours = Ours("loss", torch.tensor(stored + 0.5), summands=1000)
    assert compare_with(golden, ("loss", ours)) == {"loss": pytest.approx(difference, rel=1e-3)}


def test_a_file_that_no_rule_knows_is_an_error():
    with pytest.raises(ValueError, match="no rule says what to do with the golden file vilbert_gamma_A_BertModel"):
        fixtures.code_base_of("vilbert_gamma_A_BertModel")
