"""Checkpoint files are read without running what is in them."""

from __future__ import annotations

import argparse
import pickle

import pytest
import torch
from safetensors.torch import save_file

from modeling_vl.conversion import UnreadableCheckpoint, read_checkpoint, read_config_file


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def state():
    return {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


@pytest.mark.parametrize("name", ["w.bin", "w.th", "w.pth", "w.ckpt", "w.tar"])
@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_state_dicts(tmp_path, state, name, legacy):
    torch.save(state, tmp_path / name, _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(tmp_path / name)
    assert checkpoint.place == "" and checkpoint.beside == []
    torch.testing.assert_close(checkpoint.state, state)


def test_safetensors_and_folders(tmp_path, state):
    save_file(state, tmp_path / "model.safetensors")
    torch.testing.assert_close(read_checkpoint(tmp_path / "model.safetensors").state, state)
    torch.testing.assert_close(read_checkpoint(tmp_path).state, state)


@pytest.mark.parametrize("place", ["model_state_dict", "model", "state_dict"])
def test_training_state_files(tmp_path, state, place):
    torch.save({place: state, "optimizer": {"lr": 0.1}, "rng": torch.zeros(2)}, tmp_path / "state.tar")
    checkpoint = read_checkpoint(tmp_path / "state.tar")
    assert checkpoint.place == place
    assert checkpoint.beside == ["optimizer", "rng"]
    torch.testing.assert_close(checkpoint.state, state)


def test_what_is_no_tensor_beside_tensors_is_named(tmp_path, state):
    torch.save({**state, "epoch": 3}, tmp_path / "w.bin")
    checkpoint = read_checkpoint(tmp_path / "w.bin")
    assert set(checkpoint.state) == set(state)
    assert checkpoint.beside == ["epoch"]


def test_a_file_that_would_run_code_is_refused_and_nothing_runs(tmp_path, state):
    trace = tmp_path / "trace"
    torch.save({"model": state, "logger": Harmful(trace)}, tmp_path / "w.ckpt")
    with pytest.raises(UnreadableCheckpoint, match=r"w\.ckpt holds the object .*open.*keep the weights alone"):
        read_checkpoint(tmp_path / "w.ckpt")
    assert not trace.exists()
    with open(tmp_path / "plain.bin", "wb") as file:
        pickle.dump(Harmful(trace), file, protocol=2)
    with pytest.raises(UnreadableCheckpoint, match=r"plain\.bin holds"):
        read_checkpoint(tmp_path / "plain.bin")
    assert not trace.exists()


def test_the_object_that_was_found_is_named(tmp_path, state):
    torch.save({"model": state, "args": argparse.Namespace(lr=1)}, tmp_path / "w.ckpt")
    with pytest.raises(UnreadableCheckpoint, match=r"the object argparse\.Namespace\. .*model_state_dict"):
        read_checkpoint(tmp_path / "w.ckpt")


def test_files_without_weights(tmp_path):
    torch.save({"epoch": 3, "args": {"lr": 0.1}}, tmp_path / "w.bin")
    with pytest.raises(UnreadableCheckpoint, match="no tensors at its top level nor under .*it holds args, epoch"):
        read_checkpoint(tmp_path / "w.bin")
    torch.save([1, 2], tmp_path / "list.bin")
    with pytest.raises(UnreadableCheckpoint, match="holds a list"):
        read_checkpoint(tmp_path / "list.bin")


@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
def test_damaged_files(tmp_path, state, name):
    whole = tmp_path / f"whole-{name}"
    torch.save(state, whole) if name.endswith("bin") else save_file(state, whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(UnreadableCheckpoint, match="is no readable"):
        read_checkpoint(tmp_path / name)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint .*nowhere\.bin"):
        read_checkpoint(tmp_path / "nowhere.bin")
    with pytest.raises(FileNotFoundError, match=r"holds none of model\.safetensors, pytorch_model\.bin"):
        read_checkpoint(tmp_path)


def test_configs_with_comments(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('// how it was run\n{"root": "http://x//y", //where\n "dim": 3}')
    assert read_config_file(path) == {"root": "http://x//y", "dim": 3}


def test_yaml_configs(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("model_config:\n  visual_bert:\n    visual_embedding_dim: 1024\n")
    assert read_config_file(path) == {"model_config": {"visual_bert": {"visual_embedding_dim": 1024}}}


@pytest.mark.parametrize("text", ["1e-12", "1.0e-12", "1E-12", "+1.e-12", "0.01e-10"])
def test_numbers_with_an_exponent_are_numbers_as_in_mmf(tmp_path, text):
    path = tmp_path / "c.yaml"
    path.write_text(f"layer_norm_eps: {text}\nname: 1e-12 or so\nquoted: '1e-12'\n")
    assert read_config_file(path) == {"layer_norm_eps": 1e-12, "name": "1e-12 or so", "quoted": "1e-12"}


@pytest.mark.parametrize(("name", "text"), [("c.json", "{"), ("c.json", "[1]"), ("c.yaml", "a: [")])
def test_unreadable_configs(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        read_config_file(tmp_path / name)
