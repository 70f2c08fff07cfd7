"""Exported files stand beside their config and processor, and run in a process that has none of our packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoProcessor

from modeling_vl.export import (
    ExportedTask,
    export_model,
    inputs_of,
    largest_differences,
    load_model,
    open_exported,
    random_inputs,
)
from modeling_vl.export.quantization import quantize_onnx
from tests.modeling_vl.export.small_models import save_small_model
from tests.random_regions import random_regions

TEXTS = ["a cat and a dog", "what is it"]

RUN_ONNX = """
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
inputs = {**np.load(sys.argv[2])}
np.save(sys.argv[3], session.run(["logits"], inputs)[0])
print([(one.name, one.shape) for one in (*session.get_inputs(), *session.get_outputs())])
assert not {"torch", "transformers", "modeling_vl"} & set(sys.modules)
"""

RUN_TORCH = """
import sys

import torch

module = torch.export.load(sys.argv[1]).module()
torch.save(module(**torch.load(sys.argv[2])), sys.argv[3])
assert not {"transformers", "modeling_vl", "processing_vl"} & set(sys.modules)
"""


def run_alone(code, folder, *words):
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def retrieval(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("retrieval"), "ViLBertForImageTextRetrieval")


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("choices"), "VisualBertForMultipleChoice")


@pytest.fixture(scope="module")
def exported_retrieval(retrieval, tmp_path_factory):
    """Written as if its weights were too many for one file."""
    path = tmp_path_factory.mktemp("exported") / "deep" / "retrieval.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modeling_vl.export.files.LARGEST_ONNX", 0)
        return export_model(retrieval, path)


@pytest.fixture(scope="module")
def exported_choices(choices, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "choices.pt2"
    return export_model(choices, path, further=["image_text_alignment"])


@torch.no_grad()
def test_onnx_runtime_alone_scores_what_the_processor_beside_it_made(retrieval, exported_retrieval, tmp_path):
    folder = exported_retrieval.path.parent
    assert (folder / "retrieval.onnx.data").stat().st_size > 50_000
    assert b"modeling_vl" not in exported_retrieval.path.read_bytes()  # no traces of where it was made
    assert AutoConfig.from_pretrained(folder).architectures == ["ViLBertForImageTextRetrieval"]
    processor = AutoProcessor.from_pretrained(folder)
    images = [random_regions(number, feature_dim=20) for number in (3, 8, 1)]
    texts = processor(text=TEXTS, return_tensors="pt")
    inputs = {**texts, **processor(regions=images, return_tensors="pt")}
    inputs = {name: inputs[name] for name in exported_retrieval.inputs}
    np.savez(tmp_path / "inputs.npz", **{name: tensor.numpy() for name, tensor in inputs.items()})
    said = run_alone(RUN_ONNX, tmp_path, exported_retrieval.path, tmp_path / "inputs.npz", tmp_path / "logits.npy")
    assert "('visual_embeds', ['images', 'regions', 20])" in said
    assert "('logits', ['texts', 'images'])" in said
    expected = load_model(str(retrieval))(**inputs).logits
    assert expected.shape == (2, 3)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected.numpy(), rtol=0, atol=1e-5)


@torch.no_grad()
def test_torch_alone_runs_a_program(choices, exported_choices, tmp_path):
    model = load_model(str(choices))
    inputs = inputs_of(model, further=["image_text_alignment"])
    batch = random_inputs(inputs, {"batch": 2, "choices": 6, "text": 20, "regions": 3, "links": 1})
    torch.save(batch, tmp_path / "inputs.pt")
    run_alone(RUN_TORCH, tmp_path, exported_choices.path, tmp_path / "inputs.pt", tmp_path / "outputs.pt")
    outputs = torch.load(tmp_path / "outputs.pt")
    torch.testing.assert_close(outputs, {"logits": model(**batch).logits}, rtol=0, atol=1e-5)


def test_the_record_names_inputs_and_outputs(exported_retrieval):
    record = json.loads(Path(f"{exported_retrieval.path}.json").read_text())
    assert record["architecture"] == "ViLBertForImageTextRetrieval"
    assert record["inputs"] == {
        "input_ids": ["texts", "text"],
        "attention_mask": ["texts", "text"],
        "token_type_ids": ["texts", "text"],
        "visual_embeds": ["images", "regions", 20],
        "visual_attention_mask": ["images", "regions"],
        "visual_locations": ["images", "regions", 5],
    }
    assert record["outputs"] == {"logits": ["texts", "images"]}
    assert record["longest_text"] == 24
    assert 0 <= record["largest_differences"]["logits"] <= 1e-5


@torch.no_grad()
def test_eight_bits_are_integers_and_close(exported_retrieval, retrieval, tmp_path):
    import onnx

    quantize_onnx(exported_retrieval.path, tmp_path / "int8.onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert kinds.count("MatMulInteger") > 20
    model = load_model(str(retrieval))
    difference = largest_differences(open_exported(tmp_path / "int8.onnx"), model, inputs_of(model))["logits"]
    assert 1e-5 < difference < 0.1


def test_a_file_answers_in_the_place_of_its_model(choices, exported_choices):
    model = load_model(str(choices))
    answering = ExportedTask(exported_choices.path, model, model.task)
    inputs = inputs_of(model, further=["image_text_alignment"])
    batch = random_inputs(inputs, {"batch": 3, "choices": 4, "text": 9, "regions": 2, "links": 2})
    beside = {"labels": torch.tensor([0, 1, 2]), "visual_locations": torch.rand(3, 2, 5)}
    answering.eval()
    output = answering(**batch, **beside)
    assert output.loss is None
    torch.testing.assert_close(output.logits, model(**batch).logits, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"missing are \['image_text_alignment'\], .* read \['position_ids'\]"):
        answering(**{"position_ids" if name == "image_text_alignment" else name: batch[name] for name in batch})
    with pytest.raises(ValueError, match="cannot be trained"):
        answering.train()


def test_a_file_that_differs_is_not_written(choices, tmp_path):
    model = load_model(str(choices))
    with torch.no_grad():
        model.cls.bias[0] = torch.nan
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match=r"choices.pt2 was not written: .* differs .* more than 1e-05: logits by nan"):
        export_model(tmp_path / "model", tmp_path / "exported" / "choices.pt2")
    assert list((tmp_path / "exported").iterdir()) == []


def test_nothing_is_overwritten(choices, retrieval, exported_choices, tmp_path):
    with pytest.raises(FileExistsError, match="choices.pt2 exists: name a new file"):
        export_model(choices, exported_choices.path)
    with pytest.raises(FileExistsError, match=r"config.json belongs to another model \(it differs in .*architectures"):
        export_model(retrieval, exported_choices.path.with_name("retrieval.pt2"))
    with pytest.raises(ValueError, match=r"must end in .onnx or .pt2"):
        export_model(choices, tmp_path / "choices.bin")
    with pytest.raises(ValueError, match="name a file that ends in .onnx instead of choices.pt2"):
        export_model(choices, tmp_path / "choices.pt2", int8=True)
    assert list(tmp_path.iterdir()) == []


def test_a_second_file_of_a_model_finds_config_and_processor(choices, exported_choices):
    folder = exported_choices.path.parent
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    export = export_model(choices, folder / "plain.pt2", check=False)
    assert export.differences is None
    after = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert {*after} - {*before} == {"plain.pt2", "plain.pt2.json"}
    assert before.items() <= after.items()
