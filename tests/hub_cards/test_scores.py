"""Files of scores, as the scripts write them, become tables and the Hub's `model-index`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.repocard_data import eval_results_to_model_index

from hub_cards.scores import Measured, eval_results, read_measurements, table_lines

TASK = {
    "model": {
        "accuracy": 0.75,
        "accuracy_low": 0.6,
        "accuracy_high": 0.9,
        "accuracy_count": 40,
        "per_answer_type.number": 0.5,
        "per_answer_type.number_low": 0.4,
        "variant": "official",
    },
    "exchanged images": {"accuracy": 0.5},
    "guessing": {"accuracy": 0.25},
}
RECALLS = {
    "arguments": {"split": "test", "num_images": None, "captions_per_image": 1, "model": "runs/x"},
    "recalls": {"caption to image R@1": {"model": 0.6, "low": 0.5, "high": 0.7, "exchanged": 0.02, "chance": 0.01}},
}
PRETRAINING = {"masked words": {"model": 0.4, "exchanged": 0.3, "chance": 0.1}}
BEST = {"step": 20, "metric": "accuracy", "scores": {"accuracy": 0.5, "loss": 3.5}}


def write(folder: Path, content: Any) -> Path:
    path = folder / "scores.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("content", "scores", "settings"),
    [
        (TASK, [Measured("accuracy", 0.75, 0.6, 0.9, 40, 0.5, 0.25)], {"variant": "official"}),
        (
            RECALLS,
            [Measured("caption to image R@1", 0.6, 0.5, 0.7, None, 0.02, 0.01)],
            {"split": "test", "captions_per_image": "1"},
        ),
        (PRETRAINING, [Measured("masked words", 0.4, exchanged=0.3, chance=0.1)], {}),
        (BEST, [Measured("accuracy", 0.5)], {"step": "20", "chosen by": "accuracy"}),
    ],
)
def test_every_kind_of_file(content: dict, scores: list[Measured], settings: dict[str, str], tmp_path: Path) -> None:
    (measurement,) = read_measurements([f"{write(tmp_path, content)}=VQA v2, minival"])
    assert (measurement.dataset, list(measurement.scores), measurement.settings) == (
        "VQA v2, minival",
        scores,
        settings,
    )


def test_model_index_and_table(tmp_path: Path) -> None:
    measurements = read_measurements([f"{write(tmp_path, TASK)}=VQA v2, minival"])
    (index,) = eval_results_to_model_index("m", eval_results(measurements, "visual-question-answering"))
    assert index["results"] == [
        {
            "task": {"type": "visual-question-answering", "name": "visual question answering"},
            "dataset": {"name": "VQA v2, minival", "type": "vqa_v2_minival"},
            "metrics": [{"type": "accuracy", "value": 0.75, "name": "accuracy"}],
        }
    ]
    assert table_lines(measurements[0])[2:] == ["| accuracy | 75.0 | 60.0 to 90.0 (n = 40) | 50.0 | 25.0 |"]
    (pretraining,) = read_measurements([f"{write(tmp_path, PRETRAINING)}=x"])
    assert table_lines(pretraining)[2:] == ["| masked words | 40.0 | – | 30.0 | 10.0 |"]


def test_a_model_that_was_not_measured() -> None:
    assert read_measurements(["none"]) == []


@pytest.mark.parametrize("word", ["scores.json", "scores.json=", "scores.json= "])
def test_a_score_without_its_data_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="scores must be FILE=what the model was measured on"):
        read_measurements([word])


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file nowhere.json"):
        read_measurements(["nowhere.json=VQA"])
    for content in ([1], {"recalls": 3}, {"masked words": {"chance": 1.0}}, {"x": "y"}):
        with pytest.raises(ValueError, match="holds no scores as run_evaluation.py"):
            read_measurements([f"{write(tmp_path, content)}=VQA"])
    with pytest.raises(ValueError, match="holds no scores$"):
        read_measurements([f"{write(tmp_path, {})}=VQA"])
