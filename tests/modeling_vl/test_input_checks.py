"""Inputs that do not fit are refused in words, and never mixed up."""

from __future__ import annotations

import math
import re

import pytest
import torch

from modeling_vl import ViLBertForPreTraining, VisualBertForPreTraining, VisualBertModel
from modeling_vl.input_checks import check_finite, check_ids, check_mask
from tests.tiny_models import PRETRAINING_CLASSES, tiny_inputs, tiny_labels, tiny_model

both = pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)

MASKS = [("attention_mask", 9), ("visual_attention_mask", 6)]


def refused(model, batch, message):
    with pytest.raises(ValueError, match=message):
        model(**batch)


def region_model(model_class, *targets):
    """A model that predicts regions, and a batch for it whose labels are right."""
    model = tiny_model(model_class, region_targets=dict.fromkeys(targets, 1.0), num_object_classes=4)
    batch = {**tiny_inputs(), **tiny_labels(regions=True)}
    batch |= {"object_ids": torch.full((3, 6), 3), "object_scores": torch.rand(3, 6)}
    batch["region_features"] = batch["visual_embeds"].clone()
    return model, batch


@both
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("name", "length"), MASKS)
def test_a_mask_of_another_shape_is_refused_before_it_mixes_up_examples(model_class, packed, name, length):
    model = tiny_model(model_class, packed_execution=packed)
    for shape in ([3, length - 2], [3, length + 2], [1, length], [2, length], [3, 1, 1, length], [length]):
        mask = torch.ones(shape, dtype=torch.long)
        mask[..., -1] = 0
        refused(model, {**tiny_inputs(), name: mask}, re.escape(f"{name} must be [3, {length}], got {shape}"))


@both
@pytest.mark.parametrize(("name", "length"), MASKS)
def test_an_additive_mask_is_refused(model_class, name, length):
    model, inputs = tiny_model(model_class), tiny_inputs()
    additive = (1 - inputs[name].float()) * -10000
    refused(model, {**inputs, name: additive}, rf"{name} must hold 1 .* from -10000.0 to -?0.0.*\(mask == 0\)")


@both
@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.float16, torch.float32])
def test_a_mask_may_be_of_any_type(model_class, dtype):
    model, inputs = tiny_model(model_class), tiny_inputs()
    expected = model(**inputs).seq_relationship_logits
    masks = {name: inputs[name].to(dtype) for name, _ in MASKS}
    assert torch.equal(model(**{**inputs, **masks}).seq_relationship_logits, expected)


IDS = torch.zeros(3, 9, dtype=torch.long)
BAD_INPUTS = {
    "ids beyond the vocabulary": ({"input_ids": IDS + 99}, r"input_ids .* 0 and 98 \(vocab_size\); got 99"),
    "negative ids": ({"input_ids": IDS - 1}, "input_ids .* got -1"),
    "floating ids": ({"input_ids": IDS.float()}, "input_ids must be int64 .* got torch.float32"),
    "flat ids": ({"input_ids": IDS[0]}, r"input_ids must be \[texts, word pieces\].* got \[9\]"),
    "types out of range": ({"token_type_ids": IDS + 2}, r"token_type_ids .* 0 and 1 \(type_vocab_size\); got 2"),
    "types of another length": ({"token_type_ids": IDS[:, 1:]}, r"token_type_ids must be \[3, 9\], got \[3, 8\]"),
    "one row of types": ({"token_type_ids": IDS[:1]}, r"token_type_ids must be \[3, 9\], got \[1, 9\]"),
    "positions out of range": ({"position_ids": IDS + 24}, r"position_ids .* 23 \(max_position_embeddings\); got 24"),
    "integer features": ({"visual_embeds": torch.ones(3, 6, 20).long()}, "visual_embeds must be floating-point"),
    "NaN features": ({"visual_embeds": torch.full((3, 6, 20), math.nan)}, "visual_embeds must be finite.*nan"),
    "infinite features": ({"visual_embeds": torch.full((3, 6, 20), math.inf)}, "visual_embeds must be finite.*inf"),
    "no regions": ({"visual_embeds": torch.ones(3, 0, 20)}, r"at least one image and one region, got \[3, 0, 20\]"),
}


@both
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_inputs_are_named(model_class, case):
    changes, message = BAD_INPUTS[case]
    refused(tiny_model(model_class), {**tiny_inputs(), **changes}, message)


@both
def test_an_empty_batch_is_refused(model_class):
    empty = {name: value[:0] for name, value in tiny_inputs().items()}
    refused(tiny_model(model_class), empty, r"at least one of each, got \[0, 9\]")


LABELS = torch.full((3, 9), -100)
BAD_LABELS = {
    "labels with rows missing": ({"labels": LABELS[:2]}, r"labels must be \[3, 9\].*\[3, 15\].*got \[2, 9\]"),
    "flat labels": ({"labels": LABELS[0]}, r"labels must be \[3, 9\].*got \[9\]"),
    "one label": ({"labels": LABELS[0, 0]}, r"labels must be \[3, 9\].*got \[\]"),
    "labels beyond the vocabulary": ({"labels": LABELS + 199}, r"labels .* 98 \(vocab_size\), or -100; got 99"),
    "labels that ignore -1": ({"labels": LABELS + 99}, r"labels .*, or -100; got -1"),
    "labels on padding": ({"labels": LABELS + 105}, r"labels of rows \[1, 2\] lie on padding: give these places -100"),
    "a third alignment": ({"sentence_image_labels": torch.tensor([0, 2, 1])}, "sentence_image_labels .* got 2"),
    "floating alignment": ({"sentence_image_labels": torch.zeros(3)}, "sentence_image_labels must be int64"),
    "alignment with rows missing": (
        {"sentence_image_labels": torch.tensor([0, 1])},
        r"sentence_image_labels must be \[3\], got \[2\]",
    ),
    "a misspelt denominator": ({"loss_denominators": {"mml": 2.0}}, r"loss_denominators names \['mml'\]; .*'mlm'"),
}


@both
@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_are_named(model_class, case):
    changes, message = BAD_LABELS[case]
    refused(tiny_model(model_class), {**tiny_inputs(), **changes}, message)


def test_vilbert_predicts_regions_by_their_own_labels():
    labels = torch.full((3, 15), -100)
    labels[1, 10] = 5
    refused(tiny_model(ViLBertForPreTraining), {**tiny_inputs(), "labels": labels}, r"rows \[1\] lie on regions")


BAD_REGION_INPUTS = {
    "labels of fewer regions": ("kl", "region_labels", lambda x: x[:, 1:], r"region_labels must .* got \[3, 5\]"),
    "class ids as labels": ("kl", "region_labels", lambda x: x + 4, "region_labels .*1 for regions to predict.* got"),
    "probabilities of fewer regions": ("kl", "region_class_probs", lambda x: x[:, 1:], r"6, 7\], got \[3, 5, 7\]"),
    "one probability": ("kl", "region_class_probs", lambda x: x[..., :1], r"\[3, 6, 7\], got \[3, 6, 1\]"),
    "too many probabilities": ("kl", "region_class_probs", lambda x: x.repeat(1, 1, 2), r"got \[3, 6, 14\]"),
    "logits as probabilities": ("kl", "region_class_probs", lambda x: x - 1, "region_class_probs.* at least 0, got"),
    "features of another width": ("mse", "region_features", lambda x: x[..., 1:], r"\[3, 6, 20\], got \[3, 6, 19\]"),
    "NaN features": ("mse", "region_features", lambda x: x * math.nan, "region_features of labelled .* finite"),
    "objects beyond the classes": ("object", "object_ids", lambda x: x + 1, r"3 \(num_object_classes\); got 4"),
    "labelled regions without an object": ("object", "object_ids", lambda x: x - 4, "object_ids of lab.* got -1"),
    "scores of fewer regions": ("object", "object_scores", lambda x: x[:, 1:], r"object_scores must be \[3, 6\]"),
}  # fmt: skip


@both
@pytest.mark.parametrize("case", BAD_REGION_INPUTS)
def test_bad_region_inputs_are_named(model_class, case):
    target, name, spoil, message = BAD_REGION_INPUTS[case]
    model, batch = region_model(model_class, target)
    assert torch.isfinite(model(**batch).region_loss)
    refused(model, {**batch, name: spoil(batch[name])}, message)


@both
def test_unlabelled_regions_may_lack_their_target(model_class):
    model, batch = region_model(model_class, "kl", "object")
    expected = model(**batch).region_loss
    elsewhere = batch["region_labels"] != 1
    batch["object_ids"][elsewhere] = -1
    batch["region_class_probs"][elsewhere] = math.nan
    torch.testing.assert_close(model(**batch).region_loss, expected, rtol=0, atol=0)


@both
def test_negatives_must_be_places_of_the_batch(model_class):
    model, batch = region_model(model_class, "nce")
    batch["region_negative_indices"] = torch.full((3, 6, 2), 17)
    assert torch.isfinite(model(**batch).region_loss)
    batch["region_negative_indices"][0, 0, 0] = 18
    refused(model, batch, "region_negative_indices must lie between 0 and 17 .* got 18")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[0, 0], [3, 1]], r"pair_index\[:, 0\] must lie between 0 and 2 \(the texts given\); got 3"),
        ([[0, -1]], r"pair_index\[:, 1\] must lie between 0 and 2 \(the images given\); got -1"),
        ([0, 1], r"pair_index must be \[pairs, 2\].* got \[2\]"),
    ],
)
def test_pairs_must_exist(pairs, message):
    refused(tiny_model(ViLBertForPreTraining), {**tiny_inputs(), "pair_index": torch.tensor(pairs)}, message)


def test_labels_of_pairs_have_a_row_a_pair():
    batch = {**tiny_inputs(), "pair_index": torch.tensor([[0, 0], [1, 0], [2, 0], [0, 2]]), "labels": LABELS}
    refused(tiny_model(ViLBertForPreTraining), batch, r"labels must be \[4, 9\].*got \[3, 9\]")
    on_padding = torch.full((4, 9), -100)
    on_padding[1, 6] = 5  # the second text has five word pieces
    refused(tiny_model(ViLBertForPreTraining), {**batch, "labels": on_padding}, r"labels of rows \[1\] lie on padding")


@pytest.mark.parametrize(("tasks", "got"), [([0, 1, 4], "4"), ([0, 1], r"\[2\]"), ([[0, 1, 2]], r"\[1, 3\]")])
def test_tasks_out_of_range_are_refused(tasks, got):
    model = tiny_model(ViLBertForPreTraining, num_task_tokens=4)
    refused(model, {**tiny_inputs(), "task_ids": torch.tensor(tasks)}, rf"task_ids must .*got {got}")


ALIGNMENT = torch.zeros(3, 6, 2, dtype=torch.long)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visual_token_type_ids": ALIGNMENT[..., 0] + 2}, "visual_token_type_ids .* got 2"),
        ({"visual_token_type_ids": ALIGNMENT[:, 1:, 0]}, r"visual_token_type_ids must be \[3, 6\], got \[3, 5\]"),
        ({"image_text_alignment": ALIGNMENT + 24}, "image_text_alignment .* 23 .*, or -1; got 24"),
        ({"image_text_alignment": ALIGNMENT - 2}, "image_text_alignment .*, or -1; got -2"),
        ({"image_text_alignment": ALIGNMENT[:, 1:]}, r"image_text_alignment must be \[3, 6, 2\], got \[3, 5, 2\]"),
        ({"image_text_alignment": ALIGNMENT[..., 0]}, r"image_text_alignment must be \[3, 6, 6\], got \[3, 6\]"),
        ({"visual_embeds": None}, "visual_attention_mask.* is given without visual_embeds"),
    ],
)
def test_what_visualbert_alone_reads_is_checked_too(changes, message):
    refused(tiny_model(VisualBertModel), {**tiny_inputs(), **changes}, message)


def test_values_are_read_only_where_nobody_waits():
    """A tensor without values, like one on an accelerator, is judged by shape and type."""
    ids = torch.empty(2, 3, dtype=torch.long, device="meta")
    check_ids("ids", ids, [2, 3], 1, "one id")
    check_mask("mask", ids, [2, 3])
    check_finite("numbers", ids.float())
    with pytest.raises(ValueError, match=r"ids must be \[3, 2\], got \[2, 3\]"):
        check_ids("ids", ids, [3, 2], 1, "one id")


def test_a_region_model_refuses_labels_on_padding_and_on_the_global_region():
    model, batch = region_model(VisualBertForPreTraining, "kl")
    batch["region_labels"][1, 4] = 1
    refused(model, batch, r"region_labels of rows \[1\] lie on padding")
    batch["region_labels"][1, 4] = -100
    model.config.global_region = "first"
    batch["region_labels"][2, 0] = 1
    refused(model, batch, r"region_labels of rows \[2\] lie on .*global_region 'first'.*global_region_loss False")
