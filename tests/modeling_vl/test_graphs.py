"""Compiled graphs compute what the plain forward computes."""

from __future__ import annotations

import math

import pytest
import torch

from modeling_vl import ViLBertModel, VisualBertModel
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


@pytest.mark.parametrize("model_class", [ViLBertModel, VisualBertModel])
@torch.no_grad()
def test_masks_and_links_in_one_graph_of_any_size(model_class):
    model = tiny_model(model_class, packed_execution=False)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(error_on_recompile=True):
        for rows, text, regions in ((slice(0, 3), 9, 6), (slice(1, 3), 5, 4)):
            # Copies: whether a tensor is a view is part of what a graph is compiled for.
            inputs = {
                name: tensor[rows, : regions if name.startswith("visual") else text].clone(
                    memory_format=torch.contiguous_format
                )
                for name, tensor in tiny_inputs().items()
            }
            generator = torch.Generator().manual_seed(4)
            places = inputs["visual_embeds"].shape[:2]
            inputs["image_text_alignment"] = torch.randint(-1, 5, (*places, 2), generator=generator)
            expected, actual = model(**inputs), compiled(**inputs)
            assert expected.keys() == actual.keys()
            torch.testing.assert_close(dict(actual), dict(expected), rtol=0, atol=1e-5)
            if model_class is VisualBertModel:
                unlinked = model(**{**inputs, "image_text_alignment": None}).last_hidden_state
                assert (unlinked - expected.last_hidden_state).abs().max() > 1e-3
