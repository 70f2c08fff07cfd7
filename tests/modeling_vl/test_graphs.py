"""Compiled and exported graphs compute what the plain forward computes."""

from __future__ import annotations

import math

import pytest
import torch
from torch.export import Dim

from modeling_vl import ViLBertForPreTraining, VisualBertForPreTraining
from tests.tiny_models import PRETRAINING_CLASSES, tiny_inputs, tiny_labels, tiny_model

TARGETS = {"kl": 1.0, "mse": 0.5, "huber": 1.0, "class": 1.0, "object": 1.0, "attribute": 2.0, "nce": 1.0}


def labelled_batch():
    """Inputs, and labels whose places without a label hold what nothing may be computed from."""
    inputs, labels = tiny_inputs(), tiny_labels(regions=True)
    generator = torch.Generator().manual_seed(3)
    unlabelled = labels["region_labels"] != 1
    labels["sentence_image_labels"][1] = -100
    labels["region_features"] = inputs["visual_embeds"].clone()
    for kind in ("object", "attribute"):
        labels[f"{kind}_ids"] = torch.randint(0, 7, (3, 6), generator=generator).masked_fill(unlabelled, -1)
        labels[f"{kind}_scores"] = torch.rand(3, 6, generator=generator).masked_fill(unlabelled, math.nan)
    labels["region_class_probs"][unlabelled] = math.nan
    labels["region_negative_indices"] = torch.randint(0, 6, (3, 6, 4), generator=generator)
    return {**inputs, **labels}


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_losses_and_gradients_in_one_graph(model_class):
    model = tiny_model(model_class, region_targets=TARGETS, num_object_classes=7, num_attribute_classes=7)
    batch, results = labelled_batch(), []
    for forward in (model, torch.compile(model, backend="eager", fullgraph=True)):
        model.zero_grad()
        output = forward(**batch)
        output.loss.backward()
        gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        results.append(
            ({name: output[name] for name in ("loss", "mlm_loss", "region_loss", "alignment_loss")}, output, gradients)
        )
    (plain, plain_output, plain_gradients), (compiled, compiled_output, gradients) = results
    assert plain_output.region_losses.keys() == TARGETS.keys()
    assert all(torch.isfinite(value) and value > 0 for value in plain.values())
    torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(compiled_output.region_losses, plain_output.region_losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients, plain_gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_a_wrong_shape_is_refused_in_a_graph_too(model_class):
    compiled = torch.compile(tiny_model(model_class), backend="eager")
    with pytest.raises(ValueError, match=r"attention_mask must be \[3, 9\], got \[3, 8\]"):
        compiled(**{**tiny_inputs(), "attention_mask": torch.ones(3, 8, dtype=torch.long)})


def wider_inputs():
    """Four texts of five word pieces and four images of eight regions, padded."""
    first, second = tiny_inputs(seed=1), tiny_inputs(seed=2)
    inputs = {name: torch.cat((value, second[name][:1])) for name, value in first.items()}
    for name in inputs:
        if name.startswith("visual"):
            inputs[name] = torch.cat((inputs[name], inputs[name][:, :2]), dim=1)
        else:
            inputs[name] = inputs[name][:, :5]
    inputs["visual_attention_mask"][:, 6:] = 0
    inputs["attention_mask"][3, 3:] = 0
    return inputs


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
@torch.no_grad()
def test_an_exported_model_reads_batches_of_any_size(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs()
    batch, text, regions = Dim("batch"), Dim("text", max=24), Dim("regions")
    shapes = {name: {0: batch, 1: regions if name.startswith("visual") else text} for name in inputs}
    if model_class is VisualBertForPreTraining:
        del inputs["visual_locations"], shapes["visual_locations"]
    exported = torch.export.export(model, (), kwargs=inputs, dynamic_shapes=shapes, strict=False).module()
    model.config.packed_execution = False
    for given in (inputs, {name: value for name, value in wider_inputs().items() if name in inputs}):
        expected, actual = model(**given), exported(**given)
        for name in ("prediction_logits", "seq_relationship_logits"):
            torch.testing.assert_close(actual[name], expected[name], rtol=0, atol=1e-5)
        if model_class is ViLBertForPreTraining:
            torch.testing.assert_close(actual["region_logits"]["kl"], expected.region_logits["kl"], rtol=0, atol=1e-5)
