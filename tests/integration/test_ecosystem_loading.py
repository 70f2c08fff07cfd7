"""Ways to load what is too large for one device, one file or float32."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForPreTraining
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME

import modeling_vl
from tests.tiny_models import tiny_inputs, tiny_model
from tests.tiny_tasks import TASK_FIELDS, TASKS, both, save_pretrained_models, task_inputs

HEADS = ["PreTraining", *TASKS]
FIELDS = {"VisualBert": {"bypass_transformer": True}, "ViLBert": {"num_visual_token_types": 2}}
"""Parts that not every model has."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return save_pretrained_models(tmp_path_factory.mktemp("pretrained"))


def size_of(model):
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def logits_of(output):
    return output.prediction_logits if "prediction_logits" in output else output.logits


@both
@torch.no_grad()
def test_device_map_auto_splits_between_blocks(model, folders, tmp_path):
    whole = AutoModelForPreTraining.from_pretrained(folders[model]).eval()
    split = AutoModelForPreTraining.from_pretrained(
        folders[model], device_map="auto", max_memory={"cpu": size_of(whole) * 2 // 3}, offload_folder=tmp_path
    ).eval()
    assert set(split.hf_device_map.values()) == {"cpu", "disk"}
    placed = {parameter.device.type for parameter in split.parameters()}
    assert placed == {"cpu", "meta"}  # what lies on the disk has no memory
    indivisible = {name for name, module in split.named_modules() if type(module).__name__ in whole._no_split_modules}
    inside = {name for name in split.hf_device_map for block in indivisible if name.startswith(f"{block}.")}
    assert indivisible and not inside
    inputs = tiny_inputs()
    expected, actual = whole(**inputs), split(**inputs)
    assert torch.equal(actual.prediction_logits, expected.prediction_logits)
    assert torch.equal(actual.seq_relationship_logits, expected.seq_relationship_logits)


@both
@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_every_class_runs_from_the_disk(model, head, tmp_path):
    """Weights come when a module is called: none is read from outside of its module."""
    whole = tiny_model(getattr(modeling_vl, f"{model}For{head}"), **TASK_FIELDS.get(head, {}), **FIELDS[model])
    whole.save_pretrained(tmp_path / "model")
    offloaded = (
        type(whole)
        .from_pretrained(
            tmp_path / "model", device_map="auto", max_memory={"cpu": 1}, offload_folder=tmp_path / "offload"
        )
        .eval()
    )
    assert {parameter.device.type for parameter in offloaded.parameters()} == {"meta"}
    inputs = task_inputs(head)
    assert torch.equal(logits_of(offloaded(**inputs)), logits_of(whole(**inputs)))
    assert {parameter.device.type for parameter in offloaded.parameters()} == {"meta"}


@both
@torch.no_grad()
def test_shards_hold_tied_weights_once(model, folders, tmp_path):
    whole = AutoModelForPreTraining.from_pretrained(folders[model]).eval()
    whole.save_pretrained(tmp_path, max_shard_size="20KB")
    index = json.loads((tmp_path / SAFE_WEIGHTS_INDEX_NAME).read_text())
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) > 3 and {shard.name for shard in shards} == set(index["weight_map"].values())
    stored = []
    for shard in shards:
        with safe_open(shard, "pt") as file:
            stored += file.keys()
    tied = set(whole._tied_weights_keys)
    assert sorted(stored) == sorted(index["weight_map"]) == sorted(set(whole.state_dict()) - tied)
    again = AutoModelForPreTraining.from_pretrained(tmp_path).eval()
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    inputs = tiny_inputs()
    assert torch.equal(again(**inputs).prediction_logits, whole(**inputs).prediction_logits)


@both
@torch.no_grad()
def test_bfloat16_weights_give_close_and_finite_outputs(model, folders):
    exact = AutoModelForPreTraining.from_pretrained(folders[model]).eval()
    rounded = AutoModelForPreTraining.from_pretrained(folders[model], dtype=torch.bfloat16).eval()
    assert {parameter.dtype for parameter in rounded.parameters()} == {torch.bfloat16}
    assert size_of(rounded) * 2 == size_of(exact)
    inputs = tiny_inputs()  # features stay float32: the model rounds them itself
    expected, actual = exact(**inputs), rounded(**inputs)
    for name in ("prediction_logits", "seq_relationship_logits"):
        assert actual[name].dtype is torch.bfloat16 and actual[name].isfinite().all()
        error = (actual[name].float() - expected[name]).norm() / expected[name].norm()
        assert error < 0.02  # bfloat16 keeps 8 bits: 0.004 a number


@both
@pytest.mark.parametrize("head", HEADS)
def test_nothing_of_a_model_stands_outside_of_its_file(model, head):
    """Loading starts without memory, so that only what the file holds has values afterwards."""
    with torch.device("meta"):
        empty = tiny_model(getattr(modeling_vl, f"{model}For{head}"), **TASK_FIELDS.get(head, {}), **FIELDS[model])
    assert {tensor.device.type for tensor in empty.state_dict().values()} == {"meta"}
    assert list(empty.buffers()) == []
    assert [x for module in empty.modules() for x in vars(module).values() if isinstance(x, torch.Tensor)] == []
