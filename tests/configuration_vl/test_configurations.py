"""Configurations keep what they are given and refuse contradictions by name."""

import json
from dataclasses import fields

import pytest
from huggingface_hub.errors import StrictDataclassError

from configuration_vl import RELEASED_CONFIGS, ViLBertConfig, VisualBertConfig, released_config

BOTH = [ViLBertConfig, VisualBertConfig]

# Counted by hand from the layer sizes of the released models, the dead `q_dense` weights of vilbert_beta left out.
EXPECTED_PARAMETERS = {
    "vilbert-base-2": 153_792_000,
    "vilbert-base-4": 194_748_928,
    "vilbert-base-6": 235_705_856,
    "vilbert-base-8": 276_662_784,
    "vilbert-large-2": 388_697_088,
    "vilbert-large-4": 439_096_320,
    "vilbert-large-6": 489_495_552,
    "volta-ctrl-vilbert": 239_628_032,
    "volta-ctrl-visualbert": 112_434_944,
    "visualbert-vqa": 111_450_624,
    "visualbert-nlvr2": 110_664_192,
    "visualbert-vcr": 110_270_976,
    "visualbert-flickr": 111_455_232,
}


@pytest.mark.parametrize("config_class", BOTH)
def test_json_round_trip(config_class, tmp_path):
    config = config_class(
        hidden_size=96, region_targets={"kl": 0.5, "mse": 1}, global_region="last", global_region_loss=True
    )
    config.save_pretrained(tmp_path)
    loaded = config_class.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == config_class.model_type


def test_ids_may_be_lists_or_tuples():
    config = ViLBertConfig(text_coattention_ids=[10, 11], visual_coattention_ids=(0, 1))
    assert config.text_coattention_ids == [10, 11] and config.visual_coattention_ids == [0, 1]


@pytest.mark.parametrize(
    ("config_class", "given", "message"),
    [
        (ViLBertConfig, {"text_coattention_ids": [1, 2]}, "text_coattention_ids.*visual_coattention_ids"),
        (ViLBertConfig, {"text_coattention_ids": [6, 7, 8, 9, 10, 13]}, "text_coattention_ids.*num_hidden_layers"),
        (ViLBertConfig, {"text_coattention_ids": [6, 8, 7, 9, 10, 11]}, "text_coattention_ids must rise"),
        (ViLBertConfig, {"visual_num_hidden_layers": 4}, "visual_coattention_ids.*visual_num_hidden_layers"),
        (ViLBertConfig, {"frozen_text_layers": 7}, "frozen_text_layers.*text_coattention_ids"),
        (ViLBertConfig, {"frozen_visual_layers": 1}, "frozen_visual_layers.*visual_coattention_ids"),
        (ViLBertConfig, {"coattention_hidden_size": 100}, "coattention_hidden_size.*coattention_num_attention_heads"),
        (ViLBertConfig, {"visual_hidden_size": 100}, "visual_hidden_size.*visual_num_attention_heads"),
        (ViLBertConfig, {"visual_location_size": 6}, "visual_location_size.*4, 5, 7"),
        (ViLBertConfig, {"coattention_dropout_stream": "both"}, "coattention_dropout_stream"),
        (ViLBertConfig, {"visual_hidden_dropout_prob": 1.0}, "visual_hidden_dropout_prob"),
        (VisualBertConfig, {"visual_token_type_id": 2}, "visual_token_type_id.*type_vocab_size"),
        (VisualBertConfig, {"hidden_size": 100}, "hidden_size.*num_attention_heads"),
        (VisualBertConfig, {"fusion_method": "concat"}, "fusion_method"),
        (VisualBertConfig, {"region_targets": {"kl": 1.0, "kld": 1.0}}, "region_targets.*kld"),
        (VisualBertConfig, {"region_targets": {"kl": 0.0}}, "region_targets.*kl"),
        (VisualBertConfig, {"global_region": "middle"}, "global_region"),
        (VisualBertConfig, {"global_region_loss": True}, "global_region_loss.*global_region"),
        (VisualBertConfig, {"global_region_loss": True, "global_region": "first"}, "region_targets is empty"),
        (VisualBertConfig, {"hidden_dropout_prob": -0.1}, "hidden_dropout_prob"),
        (VisualBertConfig, {"region_targets": {"kl": float("nan")}}, "region_targets.*kl"),
        (VisualBertConfig, {"region_targets": {"kl": float("inf")}}, "region_targets.*kl"),
        (VisualBertConfig, {"region_targets": {"nce": 1.0}, "num_region_negatives": 0}, "num_region_negatives.*'nce'"),
        (VisualBertConfig, {"pad_token_id": 30522}, "pad_token_id .*vocab_size 30522, got 30522"),
        (VisualBertConfig, {"pad_token_id": -1}, "pad_token_id"),
        (VisualBertConfig, {"hidden_act": "glue"}, "hidden_act .*'gelu'.* got 'glue'"),
        (VisualBertConfig, {"pooler_act": "glue"}, "pooler_act"),
        (ViLBertConfig, {"visual_hidden_act": "glue"}, "visual_hidden_act"),
        (ViLBertConfig, {"num_task_tokens": -1}, "num_task_tokens"),
        (ViLBertConfig, {"num_visual_token_types": -1}, "num_visual_token_types"),
        (
            ViLBertConfig,
            {"num_images": 2, "image_pair_method": "sequence", "num_visual_token_types": 1},
            "'sequence' .*num_visual_token_types must be at least 2, got 1",
        ),
        (VisualBertConfig, {"visual_location_size": 6}, "visual_location_size must be one of .0, 4, 5, 7., got 6"),
        (VisualBertConfig, {"answer_position": "cls"}, "answer_position must be one of .'pooled', 'mask'., got 'cls'"),
        (VisualBertConfig, {"answer_loss": "ce"}, "answer_loss must be one of .'bce', 'kl'., got 'ce'"),
        (VisualBertConfig, {"num_images": 3}, "num_images must be one of .1, 2., got 3"),
        (VisualBertConfig, {"image_pair_method": "both"}, "image_pair_method must be one of"),
        (VisualBertConfig, {"retrieval_head": "cosine"}, "retrieval_head must be one of"),
        (VisualBertConfig, {"classifier_hidden_size": -1}, "classifier_hidden_size must be finite and not negative"),
        (VisualBertConfig, {"region_classifier_hidden_size": -1}, "region_classifier_hidden_size must be"),
        (VisualBertConfig, {"classifier_act": "glue"}, "classifier_act"),
        (VisualBertConfig, {"classifier_dropout_prob": 1.0}, "classifier_dropout_prob"),
        (VisualBertConfig, {"head_dropout_prob": -0.1}, "head_dropout_prob"),
        (ViLBertConfig, {"layer_norm_eps": -1e-12}, "layer_norm_eps"),
        (ViLBertConfig, {"visual_layer_norm_eps": float("nan")}, "visual_layer_norm_eps"),
        (ViLBertConfig, {"coattention_layer_norm_eps": -1.0}, "coattention_layer_norm_eps"),
        (ViLBertConfig, {"initializer_range": -0.02}, "initializer_range"),
    ],
)
def test_contradictions_name_the_fields(config_class, given, message):
    with pytest.raises(ValueError, match=message):
        config_class(**given)


@pytest.mark.parametrize("config_class", BOTH)
def test_no_size_may_be_below_one(config_class):
    sizes = {
        field.name
        for field in fields(config_class)
        if field.name.endswith(("_size", "_layers", "_heads", "_dim", "_classes", "max_position_embeddings"))
    } - {"frozen_text_layers", "frozen_visual_layers", "visual_location_size", "multi_task_heads"}
    sizes -= {"classifier_hidden_size", "region_classifier_hidden_size"}  # 0 stands for a single layer
    assert sizes == set(config_class.size_fields)
    for name in sizes:
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            config_class(**{name: 0})


@pytest.mark.parametrize("config_class", BOTH)
def test_a_misspelt_field_is_said_and_kept(config_class, caplog):
    config = config_class(hidden_sise=64, my_note="kept as transformers keeps it", num_labels=3)
    assert config.hidden_size == 768 and config.hidden_sise == 64 and config.my_note.startswith("kept")
    assert caplog.messages == [
        f"{config_class.__name__} has no field 'hidden_sise', so hidden_sise=64 changes nothing; did you mean "
        "'hidden_size'?"
    ]


@pytest.mark.parametrize("config_class", BOTH)
def test_a_saved_config_is_read_without_a_warning(config_class, tmp_path, caplog):
    config_class().save_pretrained(tmp_path)
    config_class.from_pretrained(tmp_path, output_attentions=True, attn_implementation="eager")
    assert caplog.messages == []


@pytest.mark.parametrize("config_class", BOTH)
def test_wrong_types_are_refused_at_once(config_class):
    with pytest.raises(StrictDataclassError, match="hidden_size"):
        config_class(hidden_size="768")


def test_a_contradiction_made_later_is_not_saved(tmp_path):
    config = ViLBertConfig()
    config.num_hidden_layers = 8
    with pytest.raises(StrictDataclassError, match="text_coattention_ids"):
        config.save_pretrained(tmp_path)


def test_what_follows_from_other_fields():
    assert ViLBertConfig(coattention_hidden_size=512).pooler_size == 512
    assert ViLBertConfig(hidden_dropout_prob=0.3).visual_embedding_dropout_prob == 0.3
    assert VisualBertConfig(hidden_size=96).pooler_size == 96
    assert ViLBertConfig(pooler_size=300).classifier_hidden_size == 600
    assert VisualBertConfig().classifier_hidden_size == 0 and VisualBertConfig().phrase_attention_size == 64
    assert VisualBertConfig(classifier_hidden_size=None).classifier_hidden_size == 1536
    assert VisualBertConfig(hidden_dropout_prob=0.3).head_dropout_prob == 0.3


def test_region_targets_know_their_width():
    config = ViLBertConfig(visual_embedding_dim=1024, num_region_classes=81)
    widths = {name: config.region_target_size(name) for name in ("kl", "class", "mse", "nce", "object", "attribute")}
    assert widths == {"kl": 81, "class": 81, "mse": 1024, "nce": 1024, "object": 1600, "attribute": 400}


def test_released_sizes_build_models_of_the_known_number_of_parameters():
    import torch

    from modeling_vl import ViLBertModel, VisualBertModel

    counts = {}
    for name in RELEASED_CONFIGS:
        config = released_config(name)
        with torch.device("meta"):
            model = (ViLBertModel if config.model_type == "vilbert" else VisualBertModel)(config)
        counts[name] = sum(parameter.numel() for parameter in model.parameters())
    assert counts == EXPECTED_PARAMETERS


def test_an_unknown_release_lists_the_known_ones():
    with pytest.raises(ValueError, match="'vilbert-base-3'.*vilbert-base-6"):
        released_config("vilbert-base-3")
