"""From arguments to config, processor and model."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForPreTraining, AutoModelForVisualQuestionAnswering, AutoProcessor

from configuration_vl import ViLBertConfig, VisualBertConfig
from tests.minilm import minilm_folder
from tests.training_vl.tiny_data import IMAGE_SIZES, SIZES, WORDS, write_data
from training_vl.arguments import ModelArguments
from training_vl.model_setup import build_model, load_config, load_processor


def test_a_config_by_name_by_class_and_from_a_folder(tmp_path: Path) -> None:
    assert load_config(ModelArguments(config="vilbert-base-2")).text_coattention_ids == [10, 11]
    overrides = {**SIZES, **IMAGE_SIZES}
    config = load_config(ModelArguments(config="vilbert", config_overrides=overrides))
    assert isinstance(config, ViLBertConfig)
    # What follows from other fields follows from the overridden ones.
    assert config.pooler_size == 16
    config.save_pretrained(tmp_path)
    for place in (tmp_path, tmp_path / "config.json"):
        again = load_config(ModelArguments(config=str(place), config_overrides={"hidden_dropout_prob": 0.3}))
        assert (again.hidden_size, again.hidden_dropout_prob) == (16, 0.3)
    assert isinstance(load_config(ModelArguments(config="visualbert-vcr")), VisualBertConfig)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (ModelArguments(), "which model\\? Give config: one of vilbert, visualbert, vilbert-base-2"),
        (ModelArguments(config="vilbert-tiny"), "'vilbert-tiny' is no file or folder and none of vilbert, visualbert"),
        (ModelArguments(config="vilbert", config_overrides={"hiden_size": 3}), r"\['hiden_size'\], which are no fiel"),
        (ModelArguments(config="vilbert", config_overrides={"hidden_size": 7}), "hidden_size .7. must be a multiple"),
        (
            ModelArguments(config="vilbert", config_overrides={"multi_task_heads": ["vqa"]}),
            "config_overrides: .*'multi_task_heads'(.|\n)*expected a dict, got list",
        ),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(arguments: ModelArguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(arguments)


def test_a_config_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="is the config of a 'bert', expected one of"):
        load_config(ModelArguments(config=str(tmp_path)))


def test_the_processor_fits_the_model(tmp_path: Path) -> None:
    folder = str(write_data(tmp_path) / "tokenizer")
    config = load_config(ModelArguments(config="vilbert", config_overrides={**SIZES, **IMAGE_SIZES}))
    processor = load_processor(ModelArguments(tokenizer=folder, max_regions=3), config)
    extractor = processor.feature_extractor
    assert (extractor.visual_embedding_dim, extractor.max_regions, extractor.global_region) == (8, 3, "first")
    with pytest.raises(ValueError, match="which word pieces"):
        load_processor(ModelArguments(), config)
    config.vocab_size = 7
    with pytest.raises(ValueError, match=rf"has {len(WORDS) + 5} word pieces, the model vocab_size=7: set config_ov"):
        load_processor(ModelArguments(tokenizer=folder), config)


@pytest.mark.parametrize("name", ["vilbert", "visualbert"])
def test_text_layers_start_from_a_trained_bert(name: str) -> None:
    """MiniLM: six layers of width 384, of which the model takes two."""
    bert = AutoModel.from_pretrained(minilm_folder())
    sizes = {**SIZES, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
    sizes |= {"vocab_size": 30522, "max_position_embeddings": 512, **(IMAGE_SIZES if name == "vilbert" else {})}
    arguments = ModelArguments(config=name, config_overrides=sizes, from_bert=str(minilm_folder()))
    model = build_model(arguments, load_config(arguments))
    assert model.training
    words = model.get_input_embeddings().weight
    assert torch.equal(words, bert.embeddings.word_embeddings.weight)
    assert model.cls.predictions.decoder.weight is words
    layers = model.vilbert.encoder.text_layers if name == "vilbert" else model.visual_bert.encoder.layer
    mine, original = layers[1].intermediate, bert.encoder.layer[1].intermediate
    assert torch.equal(mine.dense.weight, original.dense.weight)


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """A folder of pre-training."""
    arguments = ModelArguments(config="visualbert", config_overrides=SIZES)
    build_model(arguments, load_config(arguments)).save_pretrained(tmp_path / "pretrained")
    return tmp_path / "pretrained"


def test_it_is_said_which_weights_are_new(pretrained: Path, caplog: pytest.LogCaptureFixture) -> None:
    arguments = ModelArguments(from_pretrained=str(pretrained), config_overrides={"hidden_dropout_prob": 0.3})
    config = load_config(arguments)
    assert config.hidden_dropout_prob == 0.3
    with caplog.at_level(logging.INFO):
        model = build_model(arguments, config, AutoModelForVisualQuestionAnswering)
    assert "brings no values for these weights, which start fresh: cls.bias, cls.weight" in caplog.text
    assert "not used of" in caplog.text
    assert model.config.hidden_dropout_prob == 0.3
    caplog.clear()
    model.save_pretrained(pretrained.with_name("vqa"))
    again = ModelArguments(from_pretrained=str(pretrained.with_name("vqa")))
    config = load_config(again)
    with caplog.at_level(logging.INFO):
        same = build_model(again, config, AutoModelForVisualQuestionAnswering)
    assert "all weights come from" in caplog.text
    assert torch.equal(same.cls.weight, model.cls.weight)
    config.id2label = dict(enumerate("abcde"))
    caplog.clear()
    other = build_model(again, config, AutoModelForVisualQuestionAnswering)
    assert "cls.weight starts fresh: it has the shape (2, 16) in" in caplog.text
    assert other.cls.weight.shape == (5, 16)
    assert torch.equal(other.get_input_embeddings().weight, model.get_input_embeddings().weight)


def test_a_trunk_of_another_size_is_refused(pretrained: Path) -> None:
    arguments = ModelArguments(from_pretrained=str(pretrained), config_overrides={"intermediate_size": 24})
    with pytest.raises(ValueError, match=r"shape \(16,\), the config wants \(24,\): leave out the config_overrides"):
        build_model(arguments, load_config(arguments), AutoModelForVisualQuestionAnswering)


def test_a_saved_model_is_the_start_of_further_training(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    first = ModelArguments(config="visualbert", config_overrides=SIZES, tokenizer=str(data / "tokenizer"))
    config = load_config(first)
    model = build_model(first, config)
    model.save_pretrained(tmp_path / "model")
    load_processor(first, config).save_pretrained(tmp_path / "model")
    arguments = ModelArguments(from_pretrained=str(tmp_path / "model"), gradient_checkpointing=True)
    again = build_model(arguments, load_config(arguments))
    assert again.is_gradient_checkpointing
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    assert len(load_processor(arguments, again.config).tokenizer) == len(WORDS) + 5
    # And as anyone loads it.
    assert type(AutoModelForPreTraining.from_pretrained(tmp_path / "model")) is type(model)
    assert len(AutoProcessor.from_pretrained(tmp_path / "model").tokenizer) == len(WORDS) + 5
