"""Gradients of the whole pre-training loss, of which golden files store the norms."""

from __future__ import annotations

import torch
from torch import Tensor

from modeling_vl.losses import IGNORE_INDEX
from tests.golden.harness import Case
from tests.golden.vilbert_outputs import model_inputs, ours_labels, region_targets

GRADIENTS = "grad_norms_of_total_loss"
"""Where a golden file stores gradient norms by original name; null for weights without a gradient."""

NOTHING_MASKED = "masked_img_loss_with_no_masked_region"
"""Where a golden file stores the region loss when no region is to be predicted."""

RELATIVE_TOLERANCE = 1e-4
ABSOLUTE_TOLERANCE = 1e-6


def pretraining_batch(case: Case) -> dict[str, Tensor]:
    """Our arguments for the whole pre-training loss."""
    return {
        **model_inputs(case),
        **region_targets(case),
        "labels": ours_labels(case.inputs["masked_lm_labels"]),
        "sentence_image_labels": case.inputs["next_sentence_label"],
    }


def our_norms(case: Case) -> dict[str, float | None]:
    """Gradient norms of our model, by original name; a weight that was dropped has none."""
    model, report = case.plain, case.convert().report
    model.zero_grad()
    model(**pretraining_batch(case)).loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    norms = {name: gradients[target] for name, target in report.renamed.items()}
    norms |= dict.fromkeys(report.dropped)
    return {name: None if gradient is None else gradient.norm().item() for name, gradient in norms.items()}


def region_loss_of_nothing(case: Case) -> Tensor:
    """Our region loss when no region is to be predicted."""
    batch = pretraining_batch(case)
    batch["region_labels"] = torch.full_like(batch["region_labels"], IGNORE_INDEX)
    return case.plain(**batch).region_loss
