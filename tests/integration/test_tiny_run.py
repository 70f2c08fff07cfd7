"""`--tiny` tries out any kind of run; what it saves loads as anyone loads a model, and can be measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from transformers import AutoModelForPreTraining, AutoProcessor

from examples import evaluate_pretraining
from examples.run_pretraining import main
from tests.integration.pretraining_runs import ROOT
from tests.training_vl.tiny_data import CLASSES, FEATURES, write_data
from training_vl.checkpointing import read_state
from training_vl.training_log import read_log


@pytest.fixture(autouse=True)
def processes_of_their_own() -> Iterator[None]:
    """accelerate keeps one precision for a whole process; each of these runs chooses its own."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["run_pretraining.py", *words, "--use_cpu", "--tiny"])
    main()


@pytest.mark.parametrize("config", ["vilbert", "visualbert"])
def test_on_built_in_scenes(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--config", config, "--output_dir", str(tmp_path))
    log = read_log(tmp_path)
    assert [row["step"] for row in log] == [1, 2, 2, 3, 4, 4]
    losses = {"mlm_loss", "alignment_loss"} | ({"region_loss"} if config == "vilbert" else set())
    assert {f"train/{name}" for name in losses} <= set(log[0])
    assert {f"eval/{name}" for name in losses} <= set(log[-1])
    assert read_state(tmp_path / "checkpoint-4").step == 4
    model = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert model.config.model_type == config
    assert AutoProcessor.from_pretrained(tmp_path)(text="a red circle")["input_ids"].shape == (1, 5)
    scenes = tmp_path / "tiny" / "scenes"
    words = [str(tmp_path), str(scenes / "val"), str(scenes / "dataset_scenes.json"), "--split", "val"]
    words += ["--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *words, "--output", str(tmp_path / "scores.json")])
    evaluate_pretraining.main()
    table = json.loads((tmp_path / "scores.json").read_text())
    assert {"masked-token accuracy", "alignment accuracy", "caption to image R@1"} <= set(table)
    assert table["caption to image R@5"]["chance"] == pytest.approx(5 / 8)


@pytest.mark.parametrize("recipe", ["vilbert_base_6", "visualbert_coco", "volta_ctrl_visualbert"])
def test_a_recipe_on_given_data(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_data(tmp_path / "data")
    output = tmp_path / "run"
    run(
        monkeypatch,
        str(ROOT / "examples" / "recipes" / f"{recipe}.yaml"),
        *("--regions", str(data / "shards"), "--captions", str(data / "captions.jsonl")),
        *("--train_split", "train", "--output_dir", str(output), "--mixed_precision", "bf16"),
    )
    config = AutoModelForPreTraining.from_pretrained(output).config
    assert (config.visual_embedding_dim, config.hidden_size) == (FEATURES, 32)
    assert config.num_region_classes == CLASSES
    assert read_log(output)[-1]["step"] == 4


def test_errors_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="ValueError: where shall the model go"):
        run(monkeypatch, "--config", "vilbert")
    with pytest.raises(SystemExit, match="ValueError: which model"):
        run(monkeypatch, "--output_dir", str(tmp_path))
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "state.json").write_text("{}")
    with pytest.raises(SystemExit, match="ValueError: .* holds checkpoints of an earlier run, up to step 2"):
        run(monkeypatch, "--config", "vilbert", "--output_dir", str(tmp_path))
