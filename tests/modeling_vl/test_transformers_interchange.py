"""Folders of transformers' own VisualBERT load here, ours load there, and both compute the same."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

import modeling_vl
from configuration_vl import VisualBertConfig

SIZES = {
    "vocab_size": 90,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "visual_embedding_dim": 10,
    "layer_norm_eps": 1e-6,
    "initializer_range": 0.3,
}
CLASSES = ["VisualBertModel", "VisualBertForPreTraining"]


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(5)
    attention_mask = torch.ones(3, 7, dtype=torch.long)
    attention_mask[1, 5:] = 0
    visual_attention_mask = torch.ones(3, 4, dtype=torch.long)
    visual_attention_mask[2, 3:] = 0
    return {
        "input_ids": torch.randint(2, 90, (3, 7), generator=generator),
        "token_type_ids": torch.randint(0, 2, (3, 7), generator=generator),
        "attention_mask": attention_mask,
        "visual_embeds": torch.randn(3, 4, 10, generator=generator),
        "visual_attention_mask": visual_attention_mask,
        "visual_token_type_ids": torch.randint(0, 2, (3, 4), generator=generator),
    }


def randomise(model):
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3, generator=generator)
    return model.eval()


def assert_equal_outputs(first, second, inputs):
    real = torch.cat((inputs["attention_mask"], inputs["visual_attention_mask"]), dim=1).bool()
    with torch.no_grad():
        ours, theirs = first(**inputs), second(**inputs)
    names = (
        ("prediction_logits", "seq_relationship_logits")
        if "prediction_logits" in theirs
        else ("last_hidden_state", "pooler_output")
    )
    torch.testing.assert_close(ours[names[0]][real], theirs[names[0]][real], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[names[1]], theirs[names[1]], atol=1e-5, rtol=0)


def assert_nothing_missing(info):
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]


@pytest.mark.parametrize("name", CLASSES)
def test_theirs_to_ours(name, inputs, tmp_path):
    theirs = randomise(getattr(transformers, name)(transformers.VisualBertConfig(**SIZES)))
    theirs.save_pretrained(tmp_path)
    ours, info = getattr(modeling_vl, name).from_pretrained(tmp_path, output_loading_info=True)
    assert_nothing_missing(info)
    assert_equal_outputs(ours.eval(), theirs, inputs)


@pytest.mark.parametrize("name", CLASSES)
def test_ours_to_theirs(name, inputs, tmp_path):
    ours = randomise(getattr(modeling_vl, name)(VisualBertConfig(**SIZES)))
    ours.save_pretrained(tmp_path)
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert_nothing_missing(info)
    assert_equal_outputs(ours, theirs.eval(), inputs)


def test_losses_are_equal_with_their_labels(inputs, tmp_path):
    theirs = randomise(transformers.VisualBertForPreTraining(transformers.VisualBertConfig(**SIZES)))
    theirs.save_pretrained(tmp_path)
    ours = modeling_vl.VisualBertForPreTraining.from_pretrained(tmp_path).eval()
    labels = torch.full((3, 11), -100)
    labels[:, 2:4] = 17
    batch = {**inputs, "labels": labels, "sentence_image_labels": torch.tensor([0, 1, 0])}
    with torch.no_grad():
        torch.testing.assert_close(ours(**batch).loss, theirs(**batch).loss, atol=1e-5, rtol=0)


def test_a_native_folder_without_a_region_type_gets_type_1_and_says_so(inputs, tmp_path, caplog):
    theirs = randomise(transformers.VisualBertModel(transformers.VisualBertConfig(**SIZES)))
    theirs.save_pretrained(tmp_path)
    ours = modeling_vl.VisualBertModel.from_pretrained(tmp_path).eval()
    assert ours.config.visual_token_type_id == 1
    assert ours.config.model_type == "visualbert"
    assert any("taking visual_token_type_id=1, as transformers does" in message for message in caplog.messages)
    del inputs["visual_token_type_ids"]
    assert_equal_outputs(ours, theirs, inputs)


def test_a_native_folder_may_name_its_region_type(tmp_path, caplog):
    config = transformers.VisualBertConfig(**SIZES, visual_token_type_id=0)
    config.save_pretrained(tmp_path)
    assert VisualBertConfig.from_pretrained(tmp_path).visual_token_type_id == 0
    assert VisualBertConfig.from_pretrained(tmp_path, visual_token_type_id=1).visual_token_type_id == 1
    assert not any("taking visual_token_type_id" in message for message in caplog.messages)


def test_a_native_config_that_is_silent_means_their_defaults(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "visual_bert", "hidden_size": 24}))
    theirs = AutoConfig.from_pretrained(tmp_path)
    ours = VisualBertConfig.from_pretrained(tmp_path, num_attention_heads=4)
    # No BERT reads the ids of sentence bounds; theirs are RoBERTa's.
    beside = {"model_type", "num_attention_heads", "_name_or_path", "bos_token_id", "eos_token_id"}
    shared = set(theirs.to_dict()) & set(ours.to_dict()) - beside
    assert {"pad_token_id", "visual_embedding_dim", "layer_norm_eps", "vocab_size"} <= shared
    assert {name: getattr(ours, name) for name in shared} == {name: getattr(theirs, name) for name in shared}


def test_native_folders_still_resolve_to_their_classes(tmp_path):
    randomise(transformers.VisualBertForPreTraining(transformers.VisualBertConfig(**SIZES))).save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is transformers.VisualBertConfig
    assert type(AutoModel.from_pretrained(tmp_path)) is transformers.VisualBertModel
    assert type(AutoModelForPreTraining.from_pretrained(tmp_path)) is transformers.VisualBertForPreTraining


def test_our_folders_resolve_to_our_classes(tmp_path):
    randomise(modeling_vl.VisualBertForPreTraining(VisualBertConfig(**SIZES))).save_pretrained(tmp_path)
    assert type(AutoModel.from_pretrained(tmp_path)) is modeling_vl.VisualBertModel
    assert type(AutoModelForPreTraining.from_pretrained(tmp_path)) is modeling_vl.VisualBertForPreTraining
