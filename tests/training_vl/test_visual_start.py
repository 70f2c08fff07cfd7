"""The closed-form start: a model that ranks before its first step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.training_vl.retrieval_data import SIZES, arguments_of, write_photos
from training_vl.retrieval_arguments import parse_retrieval_arguments
from training_vl.retrieval_scoring import PairScorer
from training_vl.retrieval_training import RetrievalParts, recalls, retrieval_model, set_up_retrieval


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def start(photos: Path, config: str, *more: str) -> tuple[torch.nn.Module, RetrievalParts]:
    arguments = parse_retrieval_arguments(arguments_of(photos, photos / "run", config, *more))
    parts = set_up_retrieval(arguments)
    return retrieval_model(arguments, parts), parts


def held_out(model: torch.nn.Module, parts: RetrievalParts) -> dict[str, float]:
    scorer = PairScorer(model, parts.processor, parts.validation, max_text_length=12)
    return recalls(scorer.score(slice(0, len(parts.validation.indices))), parts.validation)


@pytest.mark.parametrize(("head", "pooling"), [("alignment", "first"), ("score", "mean")])
@pytest.mark.parametrize("config", ["vilbert", "visualbert"])
def test_new_photos_are_found_without_a_step(photos: Path, config: str, head: str, pooling: str) -> None:
    fresh = held_out(*start(photos, config))
    overrides = _overrides(head, text_pooling=pooling)
    found = held_out(*start(photos, config, "--start", "least_squares", "--config_overrides", overrides))
    # 20 photos, some of the same thing in the same colour: a random order finds 5 % at once and 25 % among five.
    assert fresh["text_to_image_recall_at_5"] < 0.5
    assert found["text_to_image_recall_at_1"] > 0.5
    assert found["text_to_image_recall_at_5"] > 0.8
    assert found["image_to_text_recall_at_5"] > 0.8


def test_the_scale_is_the_score_of_a_perfect_match(photos: Path) -> None:
    scores = []
    for scale in ("4", "8"):
        model, parts = start(photos, "vilbert", "--start", "least_squares", "--start_scale", scale)
        scorer = PairScorer(model, parts.processor, parts.validation, max_text_length=12)
        scores.append(scorer.score(slice(0, 40)))
    assert scores[1] == pytest.approx(2 * scores[0], abs=1e-4)
    assert 2 < scores[0].max() < 6


def test_the_model_stays_in_training_mode_and_learns_from_there(photos: Path) -> None:
    model, parts = start(photos, "visualbert", "--start", "least_squares")
    assert model.training
    batch = next(iter(parts.training_data(batch_size=10, seed=0, rank=0, world_size=1)))
    model(**batch, return_loss=True).loss.backward()
    assert model.visual_bert.embeddings.visual_projection.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        ("vilbert", {"pooler_act": "relu"}, r"the config needs pooler_act='linear' \(not 'relu'\)"),
        ("visualbert", {"bypass_transformer": False}, r"needs bypass_transformer=True \(not False\)"),
        ("visualbert", {"pooler_size": 25}, r"160 pairs of 24 and 32 numbers"),
    ],
)
def test_a_model_that_cannot_hold_it_is_refused(
    photos: Path, config: str, overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        start(photos, config, "--start", "least_squares", "--config_overrides", _overrides(**overrides))


def _overrides(head: str = "alignment", **fields: object) -> str:
    return json.dumps({**SIZES["both"], "retrieval_head": head, **fields})
