"""Which model is kept, and when a run stops."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from tests.tiny_models import PRETRAINING_CLASSES, tiny_model
from training_vl.best_model import BestModel


class Saved:
    """A processor, whose files are not what these tests look at."""

    def save_pretrained(self, folder: Path) -> None:
        (Path(folder) / "processor.json").write_text("{}")


@pytest.fixture
def model() -> torch.nn.Module:
    return tiny_model(PRETRAINING_CLASSES[1])


def see(best: BestModel, model: torch.nn.Module, step: int, score: float) -> None:
    with torch.no_grad():
        model.cls.seq_relationship.bias.fill_(step)
    best.see(step, {"loss": 9.0, "accuracy": score}, model, Saved(), Accelerator(cpu=True))


def test_the_best_model_is_kept_and_given_back(
    tmp_path: Path, model: torch.nn.Module, caplog: pytest.LogCaptureFixture
) -> None:
    best = BestModel(tmp_path, "accuracy")
    for step, score in ((10, 0.5), (20, 0.7), (30, 0.7), (40, 0.6)):
        see(best, model, step, score)
    entry = json.loads((tmp_path / "best" / "scores.json").read_text())
    assert entry == {"step": 20, "metric": "accuracy", "scores": {"loss": 9.0, "accuracy": 0.7}}
    assert (tmp_path / "best" / "processor.json").is_file()
    assert not best.is_exhausted
    with caplog.at_level(logging.INFO):
        best.load_into(model)
    assert model.cls.seq_relationship.bias.tolist() == [20, 20]
    assert "the saved model is that of step 20, the best by accuracy (0.7)" in caplog.text


def test_patience_counts_evaluations_in_a_row(tmp_path: Path, model: torch.nn.Module) -> None:
    best = BestModel(tmp_path, "accuracy", patience=2)
    exhausted = []
    for step, score in enumerate((0.5, 0.4, 0.6, 0.6, 0.5)):
        see(best, model, step, score)
        exhausted.append(best.is_exhausted)
    assert exhausted == [False, False, False, False, True]


def test_a_checkpoint_continues_the_count(tmp_path: Path, model: torch.nn.Module) -> None:
    best = BestModel(tmp_path, "accuracy", patience=2)
    see(best, model, 1, 0.5)
    see(best, model, 2, 0.5)
    other = BestModel(tmp_path, "accuracy", patience=2)
    other.load_state_dict(json.loads(json.dumps(best.state_dict())))
    see(other, model, 3, 0.4)
    assert other.is_exhausted
    with pytest.raises(ValueError, match="the run went by 'accuracy', now by 'consistency'"):
        BestModel(tmp_path, "consistency").load_state_dict(best.state_dict())


def test_a_checkpoint_wants_its_best_model_beside_it(tmp_path: Path, model: torch.nn.Module) -> None:
    best = BestModel(tmp_path, "accuracy")
    BestModel(tmp_path, "accuracy").load_state_dict(best.state_dict())  # nothing was evaluated yet
    see(best, model, 7, 0.5)
    with pytest.raises(FileNotFoundError, match="best is missing: it holds the best model so far, of step 7"):
        BestModel(tmp_path / "elsewhere", "accuracy").load_state_dict(best.state_dict())
    # Killed while the best model was being replaced.
    (tmp_path / "best").rename(tmp_path / "best.partial")
    again = BestModel(tmp_path, "accuracy")
    again.load_state_dict(best.state_dict())
    see(again, model, 8, 0.6)
    again.load_into(model)
    assert model.cls.seq_relationship.bias.tolist() == [8, 8]


def test_a_score_that_is_not_there(tmp_path: Path, model: torch.nn.Module) -> None:
    with pytest.raises(KeyError, match="the evaluation gives no 'recall', only loss, accuracy"):
        see(BestModel(tmp_path, "recall"), model, 1, 0.5)


def test_without_evaluation_the_model_stays(tmp_path: Path, model: torch.nn.Module) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    BestModel(tmp_path, "accuracy").load_into(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
