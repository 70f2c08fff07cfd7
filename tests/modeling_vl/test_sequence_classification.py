"""Statements about one image and about two."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.tiny_models import tiny_inputs
from tests.tiny_tasks import TEXT_INPUTS, both, task_inputs, task_model

TASK = "SequenceClassification"
IMAGE_INPUTS = ("visual_embeds", "visual_locations", "visual_attention_mask")


def two_images():
    """The usual texts; images of two batches, `[3, 2, 6, ...]`, padded in different ways."""
    first, second = tiny_inputs(seed=1), tiny_inputs(seed=8)
    second = {name: x.roll(1, 0) for name, x in second.items()}
    return {name: torch.stack((x, second[name]), 1) if name in IMAGE_INPUTS else x for name, x in first.items()}


def pair_model(model, method, **fields):
    if model == "ViLBert" and method == "sequence":
        fields["num_visual_token_types"] = 2
    return task_model(model, TASK, num_images=2, image_pair_method=method, **fields)


@torch.no_grad()
@both
def test_one_image_is_classified_from_the_fused_vector(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    states = tiny.base_model(**inputs)
    fused = states.pooler_output if model == "VisualBert" else states.pooler_output * states.visual_pooler_output
    output = tiny(**inputs, labels=torch.tensor([2, 0, -100]))
    torch.testing.assert_close(output.logits, tiny.cls(fused), atol=1e-5, rtol=0)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits[:2], torch.tensor([2, 0])))


@torch.no_grad()
@both
@pytest.mark.parametrize("packed", [True, False])
def test_pooled_pairs_are_the_two_readings_side_by_side(model, packed):
    tiny, inputs = pair_model(model, "pooled", packed_execution=packed), two_images()
    fused = []
    for image in (0, 1):
        states = tiny.base_model(**{name: x[:, image] if name in IMAGE_INPUTS else x for name, x in inputs.items()})
        both_pooled = (
            states.pooler_output if model == "VisualBert" else (states.pooler_output * states.visual_pooler_output)
        )
        fused.append(both_pooled)
    torch.testing.assert_close(tiny(**inputs).logits, tiny.cls(torch.cat(fused, 1)), atol=1e-5, rtol=0)
    swapped = {name: x.flip(1) if name in IMAGE_INPUTS else x for name, x in inputs.items()}
    assert (tiny(**swapped).logits - tiny(**inputs).logits).abs().max() > 1e-3  # left is not right


@torch.no_grad()
@both
@pytest.mark.parametrize("packed", [True, False])
def test_a_sequence_of_two_images_has_two_visual_types(model, packed):
    tiny, inputs = pair_model(model, "sequence", packed_execution=packed), two_images()
    joined = {name: x.flatten(1, 2) if name in IMAGE_INPUTS else x for name, x in inputs.items()}
    joined["visual_token_type_ids"] = torch.tensor([0] * 6 + [1] * 6).expand(3, 12)
    logits = tiny(**inputs).logits
    torch.testing.assert_close(tiny(**joined).logits, logits, atol=0, rtol=0)
    states = tiny.base_model(**joined)
    fused = states.pooler_output if model == "VisualBert" else states.pooler_output * states.visual_pooler_output
    torch.testing.assert_close(logits, tiny.cls(fused), atol=1e-5, rtol=0)
    joined["visual_token_type_ids"] = torch.zeros(3, 12).long()
    assert (tiny(**joined).logits - logits).abs().max() > 1e-3  # the types are read


@torch.no_grad()
@both
def test_a_sequence_takes_types_and_links_of_the_caller(model):
    tiny, inputs = pair_model(model, "sequence"), two_images()
    types = torch.tensor([[1] * 6, [0] * 6]).expand(3, 2, 6)
    alignment = torch.randint(-1, 9, (3, 2, 6, 2), generator=torch.Generator().manual_seed(0))
    given = tiny(**inputs, visual_token_type_ids=types, image_text_alignment=alignment).logits
    flat = {name: x.flatten(1, 2) if name in IMAGE_INPUTS else x for name, x in inputs.items()}
    expected = tiny(
        **flat, visual_token_type_ids=types.flatten(1, 2), image_text_alignment=alignment.flatten(1, 2)
    ).logits
    torch.testing.assert_close(given, expected, atol=0, rtol=0)
    assert (given - tiny(**inputs).logits).abs().max() > 1e-3


@torch.no_grad()
def test_the_text_of_a_pooled_pair_is_embedded_once():
    tiny, rows = pair_model("ViLBert", "pooled"), []
    tiny.vilbert.text_embeddings.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    tiny(**two_images())
    assert rows == [3]


@both
@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("pooled", lambda x: x["visual_embeds"][:, 0], r"\[examples, 2, regions, features\].*got \[3, 6, 20\]"),
        ("pooled", lambda x: None, "visual_embeds must be .examples, 2.*got None"),
        ("pooled", lambda x: x["visual_embeds"][:, [0, 1, 1]], r"got \[3, 3, 6, 20\]"),
        ("sequence", lambda x: x["visual_embeds"][:, 0], r"visual_embeds \[3, 6, 20\] are one sequence, so"),
        ("sequence", lambda x: x["visual_embeds"][:, :1], r"got \[3, 1, 6, 20\]"),
        ("sequence", lambda x: x["visual_embeds"][:2], r"visual_locations must begin with \[2, 2\] \(examples, 2 im"),
    ],
)
def test_what_is_no_pair_of_images_is_refused(model, method, change, message):
    inputs = two_images()
    inputs["visual_embeds"] = change(inputs)
    with pytest.raises(ValueError, match=message):
        pair_model(model, method)(**inputs)


@both
def test_a_class_that_is_not_there_is_refused(model):
    with pytest.raises(ValueError, match=r"labels must lie between 0 and 2 \(num_labels\), or -100; got 3"):
        task_model(model, TASK)(**task_inputs(TASK), labels=torch.tensor([0, 3, 1]))


@both
def test_predict_names_the_class(model):
    names = {0: "contradiction", 1: "neutral", 2: "entailment"}
    tiny, inputs = task_model(model, TASK, id2label=names), task_inputs(TASK)
    for found, row in zip(tiny.predict(**inputs), tiny(**inputs).logits, strict=True):
        assert found["label"] == names[row.argmax().item()]
        assert found["score"] == pytest.approx(row.softmax(0).max().item(), abs=1e-6)


def test_visual_types_need_a_table_in_vilbert():
    types = torch.zeros(3, 6).long()
    with pytest.raises(ValueError, match="no table of visual types.*num_visual_token_types"):
        task_model("ViLBert", TASK)(**task_inputs(TASK), visual_token_type_ids=types)
    tiny = task_model("ViLBert", TASK, num_visual_token_types=2)
    with pytest.raises(ValueError, match=r"visual_token_type_ids must lie between 0 and 1 \(num_visual_token_types"):
        tiny(**task_inputs(TASK), visual_token_type_ids=types + 2)
    inputs = task_inputs(TASK)
    torch.testing.assert_close(
        tiny(**inputs, visual_token_type_ids=types).logits, tiny(**inputs).logits, atol=0, rtol=0
    )


def test_texts_alone_name_what_is_missing():
    inputs = {name: x for name, x in task_inputs(TASK).items() if name in TEXT_INPUTS}
    with pytest.raises(ValueError, match="fusion_method 'mul'.*pass visual_embeds"):
        task_model("VisualBert", TASK, fusion_method="mul")(**inputs)
