"""Choices are scored one by one, their image once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.tiny_tasks import CHOICES, TEXT_INPUTS, both, task_inputs, task_model

TASK = "MultipleChoice"
IMAGE_INPUTS = ("visual_embeds", "visual_locations", "visual_attention_mask")


def image_for_every_choice(inputs):
    repeated = {name: inputs[name][:, None].expand(-1, CHOICES, *inputs[name].shape[1:]) for name in IMAGE_INPUTS}
    return {**inputs, **repeated}


def links(generator_seed=7):
    """Regions linked to other words in each choice."""
    generator = torch.Generator().manual_seed(generator_seed)
    return torch.randint(-1, 9, (3, CHOICES, 6, 2), generator=generator)


@torch.no_grad()
@both
def test_a_choice_scores_as_it_would_alone(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    inputs["image_text_alignment"] = links()
    logits = tiny(**inputs).logits
    for choice in range(CHOICES):
        alone = {name: x[:, choice : choice + 1] if name in TEXT_INPUTS else x for name, x in inputs.items()}
        alone["image_text_alignment"] = links()[:, choice : choice + 1]
        torch.testing.assert_close(tiny(**alone).logits, logits[:, [choice]], atol=1e-5, rtol=0)
    assert logits.std(dim=1).min() > 1e-3


@torch.no_grad()
@both
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("linked", [True, False])
def test_an_image_given_once_equals_the_image_given_for_every_choice(model, packed, linked):
    tiny, inputs = task_model(model, TASK, packed_execution=packed), task_inputs(TASK)
    if linked:
        inputs["image_text_alignment"] = links()
    expected = tiny(**image_for_every_choice(inputs)).logits
    torch.testing.assert_close(tiny(**inputs).logits, expected, atol=1e-5, rtol=0)


@torch.no_grad()
@both
@pytest.mark.parametrize("given_once", [True, False])
def test_an_image_given_once_is_computed_once(model, given_once):
    tiny, inputs = task_model(model, TASK, packed_execution=False), task_inputs(TASK)
    trunk = tiny.base_model
    watched = [trunk.visual_embeddings] if model == "ViLBert" else [trunk.embeddings.visual_projection]
    if model == "ViLBert":  # an image layer in front of the first co-attention
        tiny = task_model(model, TASK, packed_execution=False, visual_coattention_ids=[1, 2])
        watched = [tiny.vilbert.visual_embeddings, tiny.vilbert.encoder.visual_layers[0]]
    rows = []
    for module in watched:
        module.register_forward_hook(lambda m, args, output: rows.append(len(args[0])))
    tiny(**(inputs if given_once else image_for_every_choice(inputs)))
    assert rows == [3 if given_once else 3 * CHOICES] * len(watched)


@torch.no_grad()
def test_texts_that_gate_their_image_get_an_image_each():
    tiny, inputs = task_model("ViLBert", TASK, dynamic_attention=True), task_inputs(TASK)
    expected = tiny(**image_for_every_choice(inputs)).logits
    torch.testing.assert_close(tiny(**inputs).logits, expected, atol=1e-5, rtol=0)


@torch.no_grad()
@both
def test_the_loss_is_cross_entropy_over_the_choices(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    output = tiny(**inputs, labels=torch.tensor([3, -100, 1]))
    assert output.logits.shape == (3, CHOICES)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits[[0, 2]], torch.tensor([3, 1])))


@torch.no_grad()
@both
@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_choices(model, count):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    expected = tiny(**inputs).logits[:, :count]
    fewer = {name: x[:, :count] if name in TEXT_INPUTS else x for name, x in inputs.items()}
    torch.testing.assert_close(tiny(**fewer).logits, expected, atol=1e-5, rtol=0)


@both
def test_predict_gives_choice_and_probabilities(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    logits = tiny(**inputs).logits
    for found, row in zip(tiny.predict(**inputs), logits, strict=True):
        assert found["choice"] == row.argmax().item()
        assert found["scores"] == pytest.approx(row.softmax(0).tolist(), abs=1e-6)


@both
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x["input_ids"][:, 0], r"input_ids must be \[examples, choices, word pieces\].*got \[3, 9\]"),
        (lambda x: {"attention_mask": x["attention_mask"][:, :2]}, r"attention_mask.*\[3, 4\] \(examples, choices\)"),
        (lambda x: {"visual_embeds": x["visual_embeds"][:2]}, r"visual_embeds must begin with \[3\] \(examples\)"),
        (
            lambda x: {"visual_embeds": x["visual_embeds"][:, None].expand(-1, 3, -1, -1)},
            r"visual_embeds must begin with \[3, 4\] \(examples, choices\), got \[3, 3, 6, 20\]",
        ),
        (
            lambda x: {"image_text_alignment": links()[:, 0]},
            r"image_text_alignment must begin with \[3, 4\] \(examples, choices\), got \[3, 6, 2\]",
        ),
        (lambda x: {"labels": torch.tensor([0, 4, 1])}, "labels must lie between 0 and 3 .the choices given.*got 4"),
    ],
)
def test_what_does_not_fit_is_refused(model, change, message):
    inputs = task_inputs(TASK)
    changed = change(inputs)
    changed = changed if isinstance(changed, dict) else {"input_ids": changed}
    with pytest.raises(ValueError, match=message):
        task_model(model, TASK)(**{**inputs, **changed})
