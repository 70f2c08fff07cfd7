"""Mistakes on the command line of the evaluation; its numbers are held in tests/training_vl/test_zero_shot.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from examples import evaluate_pretraining
from modeling_vl import VisualBertForPreTraining
from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.datasets_vl.small_shards import FEATURE_DIM, image_name, write_shards
from tests.minilm import tokenizer
from tests.tiny_models import visualbert_config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    config = visualbert_config(vocab_size=len(tokenizer()), visual_embedding_dim=FEATURE_DIM)
    VisualBertForPreTraining(config).save_pretrained(folder)
    RegionTextProcessor(RegionFeatureExtractor.from_model_config(config), tokenizer()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    captions = folder / "captions.json"
    captions.write_text("{" + ", ".join(f'"{image_name(i)}": ["a dog", "a cat"]' for i in range(4)) + "}")
    return write_shards(folder / "shards", [4]), captions


def end_of(monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    """What the script says when it stops."""
    monkeypatch.setattr(sys, "argv", ["evaluate_pretraining.py", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        evaluate_pretraining.main()
    return str(caught.value.code)


def test_a_folder_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = tmp_path / "runs" / "vilbert"
    assert end_of(monkeypatch, missing, *data).startswith(f"FileNotFoundError: there is no folder {missing}, and the")
    missing.mkdir(parents=True)
    said = end_of(monkeypatch, missing, *data)
    assert said.startswith(
        f"FileNotFoundError: {missing} holds no model: it has no config.json. Did its training come"
    )


def test_a_split_that_the_captions_do_not_have_is_to_be_left_out(
    monkeypatch: pytest.MonkeyPatch, model: Path, data: tuple[Path, Path]
) -> None:
    said = end_of(monkeypatch, model, *data, "--split", "val")
    assert "split 'val' was asked for, but this layout names no splits. Leave the split out (--split;" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device that others lack")
def test_a_device_that_is_not_there_is_explained(
    monkeypatch: pytest.MonkeyPatch, model: Path, data: tuple[Path, Path]
) -> None:
    said = end_of(monkeypatch, model, *data, "--device", "cuda")
    assert said.startswith(f"ValueError: --device cuda cannot be used by this torch ({torch.__version__}): ")
    assert said.endswith("Leave --device out to take what there is") and "\n" not in said


def test_an_unknown_device_is_explained(monkeypatch: pytest.MonkeyPatch, model: Path, data: tuple[Path, Path]) -> None:
    assert "--device warp cannot be used" in end_of(monkeypatch, model, *data, "--device", "warp")


@pytest.mark.parametrize("words", [["--help"], ["--splt", "val"], []])
@pytest.mark.parametrize("script", ["evaluate_pretraining", "convert_region_features", "run_demo"])
def test_help_and_missing_arguments_do_not_wait_for_torch(script: str, words: list[str]) -> None:
    if (script, words) == ("run_demo", []):
        words = ["--ouput", "x"]
    code = f"""
import sys
sys.modules.update(torch=None, transformers=None)
sys.argv = [{script!r}, *{words!r}]
from examples.{script} import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == (0 if words == ["--help"] else 2), done.stderr
    assert "usage:" in done.stdout + done.stderr


@pytest.mark.parametrize("script", ["evaluate_pretraining", "convert_region_features"])
def test_examples_in_the_help_can_be_pasted(script: str) -> None:
    text = subprocess.run(
        [sys.executable, f"examples/{script}.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    lines = text.splitlines()
    broken = [number for number, line in enumerate(lines) if line.endswith("\\")]
    assert broken, "no example runs over two lines"
    assert all(lines[number + 1].startswith("        --") for number in broken)
