"""Losses by hand-computed values."""

import math

import pytest
import torch

from modeling_vl.losses import classification_loss, draw_negative_regions, labelled_items, region_items


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
