"""`--tiny` tries out any kind of run; what it saves loads as anyone loads a model, and can be measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from transformers import AutoModelForPreTraining, AutoProcessor

from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from examples import evaluate_pretraining
from examples.run_pretraining import main
from hub_cards.scores import read_measurements
from tests.integration.pretraining_runs import ROOT
from tests.random_regions import random_regions
from tests.training_vl.tiny_data import CLASSES, FEATURES, IMAGES, WORDS, write_data
from training_vl.checkpointing import read_state
from training_vl.run_record import read_run_record
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
    record = read_run_record(tmp_path)
    assert (record.steps, record.total_steps, record.processes, record.arguments["tiny"]) == (4, 4, 1, True)
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
    (of_card,) = read_measurements([f"{tmp_path / 'scores.json'}=scenes"])
    assert {score.name: score.value for score in of_card.scores} == {name: row["model"] for name, row in table.items()}


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


def test_a_finished_run_says_so_and_a_longer_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--config", "visualbert", "--output_dir", str(tmp_path), "--resume_from_checkpoint", "latest")
    run(monkeypatch, *common, "--max_steps", "3")
    scenes = tmp_path / "tiny" / "scenes"
    loss = read_log(tmp_path)[-2]["train/loss"]
    end = [
        f"saved in {tmp_path}: 3 steps, last loss {loss:.4g}",
        f"measure it: python examples/evaluate_pretraining.py {tmp_path} {scenes}/val {scenes}/dataset_scenes.json "
        "--split val",
    ]
    assert capsys.readouterr().out.splitlines() == end
    AcceleratorState._reset_state(True)
    run(monkeypatch, *common, "--max_steps", "3")
    finished = f"{tmp_path}/checkpoint-3 is the end of its run: nothing was left to train"
    assert capsys.readouterr().out.splitlines() == [finished, *end]
    AcceleratorState._reset_state(True)
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, *common, "--max_steps", "5")
    for part in ("total_steps was 3, is 5", "max_steps and num_epochs", "--from_pretrained", "neither extended"):
        assert part in stopped.value.code


def test_what_is_taken_from_the_data_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_data(tmp_path / "data")
    with RegionShardWriter(tmp_path / "bare", RegionFeaturesMetadata(feature_dim=FEATURES), shard_size=20) as writer:
        for number in range(IMAGES):
            image = random_regions(3, feature_dim=FEATURES, num_classes=CLASSES, seed=number)
            writer.write(replace(image, class_probs=None))
    common = ("--config", "vilbert", "--captions", str(data / "captions.jsonl"), "--max_steps", "1")

    def said(*words: str) -> list[str]:
        AcceleratorState._reset_state(True)
        caplog.clear()
        run(monkeypatch, *common, *words)
        return [record.getMessage() for record in caplog.records if record.name == "training_vl.tiny_run"]

    words = len(WORDS) + 5
    stop = "; without --tiny this command would stop"
    assert said("--regions", str(data / "shards"), "--output_dir", str(tmp_path / "a")) == [
        f"--tiny: visual_embedding_dim {FEATURES} taken from the features, num_region_classes {CLASSES} taken from "
        f"the features, {words} words of the texts taken as vocabulary{stop}"
    ]
    typed = ("--config_overrides", f'{{"visual_embedding_dim": {FEATURES}}}', "--tokenizer", str(data / "tokenizer"))
    assert said("--regions", str(tmp_path / "bare"), "--output_dir", str(tmp_path / "b"), *typed) == [
        f"--tiny: region target kl dropped, as the features have no class_probs{stop}"
    ]
    assert AutoModelForPreTraining.from_pretrained(tmp_path / "b").config.region_targets == {}
    wrong = ("--config_overrides", '{"visual_embedding_dim": 9}')
    with pytest.raises(SystemExit, match=f"has {FEATURES} numbers a region, the model wants visual_embedding_dim=9"):
        said("--regions", str(data / "shards"), "--output_dir", str(tmp_path / "c"), *wrong)


def test_errors_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="ValueError: where shall the model go"):
        run(monkeypatch, "--config", "vilbert")
    with pytest.raises(SystemExit, match="ValueError: which model"):
        run(monkeypatch, "--output_dir", str(tmp_path))
    with pytest.raises(SystemExit, match="FileNotFoundError: regions: there is no folder nowhere"):
        words = ("--regions", "nowhere", "--captions", __file__)
        run(monkeypatch, "--config", "vilbert", "--output_dir", str(tmp_path), *words)
    monkeypatch.setattr("training_vl.pretraining.pretrain", interrupt)
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, "--config", "vilbert", "--output_dir", str(tmp_path))
    assert stopped.value.code == 130


def interrupt(arguments: object) -> None:
    raise KeyboardInterrupt


def test_checkpoints_of_an_earlier_run_are_not_mixed_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checkpoint-2").mkdir()
    (tmp_path / "checkpoint-2" / "state.json").write_text("{}")
    with pytest.raises(SystemExit, match="ValueError: .* holds checkpoints of an earlier run, up to step 2"):
        run(monkeypatch, "--config", "vilbert", "--output_dir", str(tmp_path))
