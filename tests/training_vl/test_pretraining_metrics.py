"""Losses and accuracies of an evaluation against counting by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from accelerate import Accelerator

from tests.tiny_models import CLASSES, PRETRAINING_CLASSES, REGIONS, tiny_model
from tests.training_vl.pretraining_batches import random_batch, rows
from training_vl.pretraining_metrics import evaluate_pretraining

EXAMPLES = 10


def answers_batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    batch = random_batch(EXAMPLES, regions=True)
    batch["object_ids"] = torch.randint(0, CLASSES, (EXAMPLES, REGIONS), generator=generator)
    batch["object_scores"] = torch.rand(EXAMPLES, REGIONS, generator=generator)
    batch["region_features"] = batch["visual_embeds"].clone()
    return batch


def share(hits: torch.Tensor) -> float:
    return float(hits.double().mean())


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
@pytest.mark.parametrize("target", ["kl", "class"])
@torch.no_grad()
def test_scores_equal_those_of_one_batch_counted_by_hand(model_class: type, target: str) -> None:
    model, batch = tiny_model(model_class, region_targets={target: 2.0}), answers_batch()
    output = model(**batch, return_logits=True)
    tokens = batch["labels"] != -100
    regions = batch["region_labels"] == 1
    length = tokens.shape[1]
    classes = batch["region_class_probs"].argmax(-1) if target == "kl" else batch["object_ids"]
    alignment = batch["sentence_image_labels"]
    expected = {
        "loss": output.loss,
        "mlm_loss": output.mlm_loss,
        "region_loss": output.region_loss,
        "alignment_loss": output.alignment_loss,
        "token_accuracy": share(output.prediction_logits[:, :length][tokens].argmax(-1) == batch["labels"][tokens]),
        "region_accuracy": share(output.region_logits[target][regions].argmax(-1) == classes[regions]),
        "alignment_accuracy": share(output.seq_relationship_logits.argmax(-1) == alignment),
        "token_chance": share(batch["labels"][tokens] == batch["labels"][tokens].mode().values),
        "region_chance": share(classes[regions] == classes[regions].mode().values),
        "alignment_chance": share(alignment == alignment.mode().values),
    }
    parts = [rows(batch, 0, 1), rows(batch, 1, 7), rows(batch, 7, EXAMPLES)]
    scores = evaluate_pretraining(model, parts, Accelerator(cpu=True))
    assert set(scores) == set(expected)
    for name, value in expected.items():
        assert scores[name] == pytest.approx(float(value), rel=1e-5), name


@pytest.mark.parametrize(
    ("target", "missing"), [("mse", {"region_accuracy", "region_chance"}), ("huber", {"region_accuracy"})]
)
def test_features_have_a_loss_but_no_accuracy(target: str, missing: set[str]) -> None:
    model = tiny_model(PRETRAINING_CLASSES[0], region_targets={target: 1.0})
    scores = evaluate_pretraining(model, [answers_batch()], Accelerator(cpu=True))
    assert "region_loss" in scores
    assert not missing & set(scores)


def test_what_nothing_asks_for_is_left_out() -> None:
    batch = random_batch(4, regions=False)
    batch["sentence_image_labels"] = torch.full((4,), -100)
    scores = evaluate_pretraining(tiny_model(PRETRAINING_CLASSES[1]), [batch], Accelerator(cpu=True))
    assert set(scores) == {"loss", "mlm_loss", "token_accuracy", "token_chance"}


def test_random_negatives_are_the_same_in_every_evaluation_and_training_goes_on_undisturbed() -> None:
    model = tiny_model(PRETRAINING_CLASSES[0], region_targets={"nce": 1.0}).train()
    random_state = torch.get_rng_state()
    scores: list[dict[str, Any]] = []
    for seed in (0, 0, 1):
        scores.append(evaluate_pretraining(model, [answers_batch()], Accelerator(cpu=True), seed=seed))
        torch.rand(3)
    assert scores[0] == scores[1]
    assert scores[0]["region_loss"] != scores[2]["region_loss"]
    torch.set_rng_state(random_state)
    evaluate_pretraining(model, [answers_batch()], Accelerator(cpu=True))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training
