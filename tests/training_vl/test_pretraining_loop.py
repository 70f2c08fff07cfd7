"""One optimizer step: micro-batches equal the big batch."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from tests.tiny_models import PRETRAINING_CLASSES, tiny_model
from tests.training_vl.pretraining_batches import random_batch, rows
from training_vl.pretraining_loop import loss_denominators, pretraining_objective
from training_vl.training_loop import train_step

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "fusion_dropout_prob": 0.0}
NO_IMAGE_DROPOUT = {"visual_hidden_dropout_prob": 0.0, "visual_attention_probs_dropout_prob": 0.0}


def fresh_model(model_class: type) -> torch.nn.Module:
    fields = {**NO_DROPOUT, "region_targets": {"kl": 0.5}}
    if model_class is PRETRAINING_CLASSES[0]:
        fields |= NO_IMAGE_DROPOUT
    return tiny_model(model_class, **fields).train()


def step(model_class: type, batches: list[dict[str, Tensor]], **options: float) -> tuple[dict[str, Tensor], dict]:
    """Losses and parameters after one step of plain gradient descent with rate 1."""
    model, accelerator = fresh_model(model_class), Accelerator(cpu=True)
    optimizer = accelerator.prepare(torch.optim.SGD(model.parameters(), lr=1.0))
    losses = train_step(model, optimizer, batches, accelerator, pretraining_objective, **options)
    return losses, {name: value.detach() for name, value in model.named_parameters()}


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
@pytest.mark.parametrize("cuts", [(0, 4, 8), (0, 1, 2, 7, 8)])
def test_micro_batches_equal_the_big_batch(model_class: type, cuts: tuple[int, ...]) -> None:
    """Example 0 has no masked token and example 1 no masked region, so micro-batches differ in their counts."""
    batch = random_batch(8, regions=True)
    big_losses, big = step(model_class, [batch])
    losses, parts = step(model_class, [rows(batch, *ends) for ends in zip(cuts, cuts[1:], strict=False)])
    assert {"loss", "mlm_loss", "region_loss", "alignment_loss", "grad_norm"} == set(losses)
    for name, value in losses.items():
        torch.testing.assert_close(value, big_losses[name], atol=1e-5, rtol=1e-6)
    for name, value in parts.items():
        torch.testing.assert_close(value, big[name], atol=1e-6, rtol=0, msg=lambda text, name=name: f"{name}: {text}")
    untouched = dict(fresh_model(model_class).named_parameters())
    assert max((untouched[name] - value).abs().max() for name, value in big.items()) > 0.01


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_the_big_batch_has_the_losses_of_the_model(model_class: type) -> None:
    batch = random_batch(8, regions=True)
    with torch.no_grad():
        output = fresh_model(model_class)(**batch)
    losses, _ = step(model_class, [batch])
    for name in ("loss", "mlm_loss", "region_loss", "alignment_loss"):
        torch.testing.assert_close(losses[name], output[name])


def test_denominators_count_all_micro_batches() -> None:
    batch = random_batch(8, regions=True)
    counts = loss_denominators([rows(batch, 0, 3), rows(batch, 3, 8)], Accelerator(cpu=True))
    assert {name: int(count) for name, count in counts.items()} == {
        "mlm": int((batch["labels"] != -100).sum()),
        "region": int((batch["region_labels"] == 1).sum()),
        "alignment": 8,
    }


def test_a_step_with_nothing_to_predict_changes_nothing() -> None:
    batch = random_batch(4, regions=True)
    for name in ("labels", "region_labels", "sentence_image_labels"):
        batch[name] = torch.full_like(batch[name], -100)
    losses, after = step(PRETRAINING_CLASSES[0], [batch])
    assert {name: float(value) for name, value in losses.items()} == dict.fromkeys(losses, 0.0)
    before = dict(fresh_model(PRETRAINING_CLASSES[0]).named_parameters())
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_gradients_are_clipped_to_the_norm() -> None:
    batch = random_batch(8, regions=True)
    losses, free = step(PRETRAINING_CLASSES[1], [batch])
    clipped_losses, clipped = step(PRETRAINING_CLASSES[1], [batch], max_grad_norm=0.5)
    assert losses["grad_norm"] > 0.5
    assert clipped_losses["grad_norm"] == losses["grad_norm"]
    before = dict(fresh_model(PRETRAINING_CLASSES[1]).named_parameters())
    for change, norm in ((free, losses["grad_norm"]), (clipped, torch.tensor(0.5))):
        length = torch.stack([(before[name] - value).norm() for name, value in change.items()]).norm()
        torch.testing.assert_close(length, norm, rtol=1e-4, atol=0)
