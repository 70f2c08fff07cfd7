"""Losses by hand-computed values."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from modeling_vl.losses import (
    classification_loss,
    contrastive_loss,
    divergence_loss,
    draw_negative_regions,
    labelled_items,
    region_items,
    score_loss,
)


def test_kl_is_summed_over_classes():
    logits = torch.tensor([[0.0, math.log(3.0)]])
    target = torch.tensor([[0.5, 0.5]])
    loss = region_items("kl", logits, {"region_class_probs": target})
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert loss.tolist() == pytest.approx([expected])


def test_kl_of_a_certain_detector_is_finite():
    loss = region_items("kl", torch.zeros(1, 4), {"region_class_probs": torch.tensor([[0.0, 1.0, 0.0, 0.0]])})
    assert loss.tolist() == pytest.approx([math.log(4)])


@pytest.mark.parametrize(("target", "expected"), [("mse", [5.0]), ("huber", [1.5])])
def test_feature_losses_are_means_over_channels(target, expected):
    loss = region_items(target, torch.tensor([[1.0, 3.0]]), {"region_features": torch.tensor([[0.0, 0.0]])})
    assert loss.tolist() == pytest.approx(expected)


def test_objects_and_attributes_are_weighted_by_confidence():
    logits = torch.zeros(2, 4)
    inputs = {"object_ids": torch.tensor([1, 2]), "object_scores": torch.tensor([0.5, 1.0])}
    assert region_items("object", logits, inputs).tolist() == pytest.approx([0.5 * math.log(4), math.log(4)])
    assert region_items("class", logits, inputs).tolist() == pytest.approx([math.log(4)] * 2)
    attributes = {"attribute_ids": torch.tensor([0, 3]), "attribute_scores": torch.tensor([1.0, 0.0])}
    assert region_items("attribute", logits, attributes).tolist() == pytest.approx([math.log(4), 0])


def test_nce_scores_the_true_feature_against_negatives():
    inputs = {"region_features": torch.tensor([[1.0, 0.0]]), "negatives": torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])}
    loss = region_items("nce", torch.tensor([[2.0, 1.0]]), inputs)
    assert loss.tolist() == pytest.approx([-math.log(math.exp(2) / (math.exp(2) + math.exp(1) + 1))])


def test_classification_divides_by_the_given_number():
    logits, labels = torch.zeros(3, 2), torch.tensor([0, -100, 1])
    assert classification_loss(logits, labels).item() == pytest.approx(math.log(2))
    assert classification_loss(logits, labels, denominator=8).item() == pytest.approx(2 * math.log(2) / 8)


KEEP = torch.tensor([[True, False], [False, True]])
VALUES = torch.tensor([[[1.0], [math.nan]], [[math.nan], [4.0]]])


def test_only_labelled_items_are_kept():
    weights, (chosen, nothing) = labelled_items(KEEP, VALUES, None)
    assert weights.tolist() == [1, 1] and chosen.tolist() == [[1], [4]] and nothing is None


def test_compiled_graphs_carry_unlabelled_items_as_zeros_with_weight_zero():
    compiled = torch.compile(labelled_items, backend="eager", fullgraph=True)
    weights, (chosen, nothing) = compiled(KEEP, VALUES, None)
    assert weights.tolist() == [1, 0, 0, 1] and chosen.tolist() == [[1], [0], [0], [4]] and nothing is None


def test_negatives_are_real_regions_most_of_them_from_other_images():
    torch.manual_seed(0)
    real = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]).bool()
    predicted = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0]]).bool()
    negatives = draw_negative_regions(real, predicted, 1000)
    assert negatives.shape == (3, 4, 1000) and negatives[~predicted].abs().max() == 0
    for image, region in predicted.nonzero().tolist():
        drawn = negatives[image, region]
        assert real.flatten()[drawn].all()
        assert (drawn != image * 4 + region).all()
        inside = (drawn // 4 == image).sum().item()
        assert inside == (0 if image == 2 else 300)
        others = set(real.flatten().nonzero().flatten().tolist()) - {image * 4 + region}
        assert set(drawn.tolist()) == others


def test_a_lone_image_is_contrasted_with_its_own_regions():
    negatives = draw_negative_regions(torch.ones(1, 3).bool(), torch.tensor([[False, True, False]]), 50)
    assert set(negatives[0, 1].tolist()) == {0, 2}


def test_a_single_region_has_no_negatives():
    with pytest.raises(ValueError, match="single region"):
        draw_negative_regions(torch.tensor([[True, False]]), torch.tensor([[True, False]]), 4)


def test_scores_are_summed_over_places_and_averaged_over_examples():
    logits, scores = torch.zeros(2, 3), torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])
    assert score_loss(logits, scores).item() == pytest.approx(3 * math.log(2))
    real = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert score_loss(logits, scores, real).item() == pytest.approx(1.5 * math.log(2))
    one = torch.tensor([[math.log(3)]])
    assert score_loss(one, torch.tensor([[0.25]])).item() == pytest.approx(-math.log(0.75) / 4 - math.log(0.25) * 0.75)


def test_what_is_not_counted_gets_no_gradient_and_may_be_anything():
    logits = torch.tensor([[0.0, torch.inf]], requires_grad=True)
    score_loss(logits, torch.zeros(1, 2), torch.tensor([[1, 0]])).backward()
    assert logits.grad.tolist() == [[0.5, 0.0]]


def test_divergence_is_divided_by_the_batch_and_takes_targets_as_they_are():
    logits = torch.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    targets = torch.tensor([[0.6, 0.9], [0.0, 0.0]])  # as uclanlp's soft scores: the sum is not 1, zeros add nothing
    expected = sum(t * (math.log(t) - math.log(0.5)) for t in (0.6, 0.9)) / 2
    assert divergence_loss(logits, targets).item() == pytest.approx(expected)


def test_contrast_of_one_text_an_image_is_cross_entropy_both_ways():
    scores = torch.tensor([[0.0, math.log(3)], [math.log(2), 0.0]])
    to_images = (math.log(4) + math.log(3)) / 2  # text 0: 1 of 1 + 3; text 1: 1 of 2 + 1
    to_texts = (math.log(3) + math.log(4)) / 2
    assert contrastive_loss(scores, torch.tensor([0, 1])).item() == pytest.approx((to_images + to_texts) / 2)


def test_texts_of_one_image_are_no_negatives_of_each_other():
    # Texts 0 and 1 belong to image 0, text 2 to image 2; image 1 has none.
    scores = torch.tensor([[1.0, 2.0, 3.0], [2.0, 0.0, 1.0], [0.5, 1.5, 2.5]])
    e = math.exp
    to_images = -(
        math.log(e(1) / (e(1) + e(2) + e(3)))
        + math.log(e(2) / (e(2) + e(0) + e(1)))
        + math.log(e(2.5) / (e(0.5) + e(1.5) + e(2.5)))
    )
    first = -(math.log(e(1) / (e(1) + e(0.5))) + math.log(e(2) / (e(2) + e(0.5)))) / 2
    third = -math.log(e(2.5) / (e(2.5) + e(3) + e(1)))
    expected = (to_images / 3 + (first + third) / 2) / 2
    assert contrastive_loss(scores, torch.tensor([0, 0, 2])).item() == pytest.approx(expected)


def test_an_image_that_all_texts_belong_to_has_nothing_to_learn():
    scores = torch.tensor([[5.0], [1.0]], requires_grad=True)
    loss = contrastive_loss(scores, torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == 0 and scores.grad.tolist() == [[0.0], [0.0]]


def recorded(golden_fixtures, name):
    tensors = load_file(golden_fixtures / f"{name}.safetensors")
    losses = json.loads((golden_fixtures / f"{name}.json").read_text())["losses"]
    return tensors, {key: value[0] for key, value in losses.items()}


def test_the_losses_of_vilbert_beta(golden_fixtures):
    tensors, losses = recorded(golden_fixtures, "vilbert_beta_A_VILBertForVLTasks")
    answers = score_loss(tensors["outputs/vil_prediction"], tensors["inputs/vqa_target"])
    regions, overlaps = tensors["outputs/vision_logit"].squeeze(-1), tensors["inputs/refcoco_target"].squeeze(-1)
    found = {
        "VL_classifier_bce": answers,
        "V_logit_bce": score_loss(regions, overlaps, tensors["inputs/image_attention_mask"]),
        "VL_logit_ce": classification_loss(tensors["outputs/vil_logit"].view(1, 3), tensors["inputs/option_target"]),
    }
    assert {name: loss.item() for name, loss in found.items()} == pytest.approx(losses, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "logits", "targets"),
    [
        ("uclanlp_visualbert_A_vqa", "outputs/logits", "inputs/label"),
        ("uclanlp_visualbert_A_flickr", "outputs/hook.flickr_attention", "inputs/label"),
        ("hf_visualbert_A_VisualBertForRegionToPhraseAlignment", "outputs/logits", "inputs/labels"),
    ],
)
def test_the_divergences_of_uclanlp_and_transformers(golden_fixtures, name, logits, targets):
    tensors, losses = recorded(golden_fixtures, name)
    wanted = tensors[targets]
    assert divergence_loss(tensors[logits].view_as(wanted), wanted).item() == pytest.approx(losses["loss"], abs=1e-5)
