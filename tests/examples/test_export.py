"""The command line exports a model, tells what it wrote, and answers mistakes in one line."""

from __future__ import annotations

import re
import sys

import pytest

from examples import export
from tests.modeling_vl.export.small_models import save_small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("vqa"), "VisualBertForVisualQuestionAnswering", num_labels=5)


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["export.py", *map(str, words)])
    export.main()


def test_eight_bits_are_exported_and_told(model, monkeypatch, tmp_path, capsys):
    call(monkeypatch, model, tmp_path / "vqa.onnx", "--int8", "--inputs", "image_text_alignment")
    said = capsys.readouterr().out
    assert "  visual_embeds [batch, regions, 20]\n" in said
    assert "  image_text_alignment [batch, regions, links]\n" in said
    assert "outputs\n  logits [batch, 5]\n" in said
    difference = float(re.search(r"largest difference from the model: (\S+) \(logits\)", said)[1])
    assert 1e-5 < difference < 0.1  # of the 8-bit file; the one in float32 was checked before it
    assert re.search(r"8 bits: \d+% of the size in float32", said)
    files = {file.name for file in tmp_path.iterdir()}
    assert {"vqa.onnx", "vqa.onnx.json", "config.json", "processor_config.json", "tokenizer.json"} <= files
    assert not [name for name in files if name.startswith(".")]


def test_unchecked_is_said(model, monkeypatch, tmp_path, capsys):
    call(monkeypatch, model, tmp_path / "vqa.pt2", "--no-check")
    assert "not compared with the model\n" in capsys.readouterr().out


def test_mistakes_are_told_in_one_line(model, monkeypatch, tmp_path):
    (tmp_path / "there.onnx").touch()
    for words, message in (
        ((model, tmp_path / "vqa.h5"), r"ValueError: .*vqa.h5 must end in .onnx or .pt2"),
        ((model, tmp_path / "there.onnx"), r"FileExistsError: .*there.onnx exists"),
        ((model, tmp_path / "vqa.pt2", "--task", "vqa"), r"ValueError: task 'vqa' is named"),
        ((model, tmp_path / "vqa.pt2", "--inputs", "boxes"), r"ValueError: .* is not exported with boxes"),
        ((tmp_path / "nowhere", tmp_path / "vqa.pt2"), r"OSError: .*nowhere"),
    ):
        with pytest.raises(SystemExit) as caught:
            call(monkeypatch, *words)
        assert re.match(message, caught.value.code)
    assert [file.name for file in tmp_path.iterdir()] == ["there.onnx"]
