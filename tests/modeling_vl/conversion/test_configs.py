"""Configs of other code bases become ours; what cannot be expressed is an error that says why."""

from __future__ import annotations

import pytest

from configuration_vl import ViLBertConfig, VisualBertConfig, released_config
from modeling_vl.conversion import (
    config_from_mmf,
    config_from_transformers,
    config_from_uclanlp,
    config_from_vilbert_beta,
    config_from_vilbert_beta_base,
    config_from_vilbert_multi_task,
    config_from_volta,
)
from tests.modeling_vl.conversion.small_checkpoints import checkpoint

BERT_BASE = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
SIX_CONNECT = {
    **BERT_BASE,
    "v_feature_size": 2048,
    "v_target_size": 1601,
    "v_hidden_size": 1024,
    "v_num_hidden_layers": 6,
    "v_num_attention_heads": 8,
    "v_intermediate_size": 1024,
    "v_hidden_act": "gelu",
    "v_hidden_dropout_prob": 0.1,
    "v_attention_probs_dropout_prob": 0.1,
    "v_initializer_range": 0.02,
    "bi_hidden_size": 1024,
    "bi_num_attention_heads": 8,
    "bi_intermediate_size": 1024,
    "bi_attention_type": 1,
    "v_biattention_id": [0, 1, 2, 3, 4, 5],
    "t_biattention_id": [6, 7, 8, 9, 10, 11],
    "pooling_method": "mul",
}
EVERY_SECOND = list(range(0, 24, 2))
VOLTA_SIZES = {
    **{key: value for key, value in BERT_BASE.items() if key != "num_hidden_layers"},
    "v_feature_size": 2048,
    "v_hidden_size": 768,
    "v_num_attention_heads": 12,
    "v_intermediate_size": 3072,
    "v_hidden_act": "gelu",
    "v_hidden_dropout_prob": 0.1,
    "v_attention_probs_dropout_prob": 0.1,
    "pooler_size": 1024,
    "v_pooler_size": 1024,
    "add_global_imgfeat": "first",
    "visual_target_weights": {"0": 1.0},
    "num_locs": 5,
}
VOLTA_VISUALBERT = {
    **VOLTA_SIZES,
    "image_embeddings": "visualbert",
    **dict.fromkeys(
        ("tt_attn_sublayers", "tv_attn_sublayers", "vt_attn_sublayers", "vv_attn_sublayers"), EVERY_SECOND
    ),
    **dict.fromkeys(("t_ff_sublayers", "v_ff_sublayers"), [number + 1 for number in EVERY_SECOND]),
    "shared_sublayers": list(range(24)),
    "single_ln_sublayers": list(range(24)),
}
VOLTA_VILBERT = {
    **VOLTA_SIZES,
    "image_embeddings": "vilbert",
    "tt_attn_sublayers": [0, 2, 4, 6, 8, 10, 14, 18, 22, 26, 30, 34],
    "tv_attn_sublayers": [12, 16, 20, 24, 28, 32],
    "vt_attn_sublayers": [12, 16, 20, 24, 28, 32],
    "vv_attn_sublayers": [14, 18, 22, 26, 30, 34],
    "t_ff_sublayers": list(range(1, 36, 2)),
    "v_ff_sublayers": list(range(13, 36, 2)),
}


def test_released_configs():
    for config, name in (
        (config_from_vilbert_beta(SIX_CONNECT)[0], "vilbert-base-6"),
        (config_from_vilbert_multi_task(SIX_CONNECT)[0], "vilbert-base-6"),
        (config_from_volta(VOLTA_VILBERT)[0], "volta-ctrl-vilbert"),
        (config_from_volta(VOLTA_VISUALBERT)[0], "volta-ctrl-visualbert"),
        (
            config_from_uclanlp({"bert_model_name": "bert-base-uncased", "model": {"visual_embedding_dim": 1024}})[0],
            "visualbert-nlvr2",
        ),
        (config_from_mmf({"model_config": {"visual_bert": {"visual_embedding_dim": 2048}}})[0], "visualbert-vqa"),
    ):
        assert config.to_dict() == released_config(name).to_dict(), name


def test_a_volta_vilbert_of_the_papers_widths():
    wide = {str(number): 1024 for number in VOLTA_VILBERT["tv_attn_sublayers"]}
    config, _ = config_from_volta(
        {
            **VOLTA_VILBERT,
            "v_hidden_size": 1024,
            "v_num_attention_heads": 8,
            "v_intermediate_size": 1024,
            "sublayer2attn_hidden_size": wide,
            "sublayer2num_attention_heads": dict.fromkeys(wide, 8),
        }
    )
    expected = released_config("vilbert-base-6").to_dict() | {"coattention_dropout_stream": "query"}
    assert config.to_dict() == expected


def test_options_of_vilbert_multi_task():
    config, original = config_from_vilbert_multi_task(
        {
            **SIX_CONNECT,
            "visual_target": 2,
            "v_target_size": 2048,
            "num_negative": 7,
            "task_specific_tokens": True,
            "dynamic_attention": True,
            "fixed_t_layer": 2,
            "with_coattention": False,
            "fast_mode": True,
        }
    )
    assert config.region_targets == {"nce": 1.0}
    assert (config.num_region_negatives, config.num_task_tokens, config.frozen_text_layers) == (7, 20, 2)
    assert config.dynamic_attention and not config.use_coattention
    assert "pair_index" in original.unused["fast_mode"]
    assert original.unknown == []


def test_the_single_stream_baseline_reads_boxes_and_has_a_layer_norm_for_each_side():
    config, original = config_from_vilbert_beta_base({**BERT_BASE, "v_initializer_range": 0.02, "novelty": 1})
    assert (config.visual_location_size, config.separate_layer_norms, config.visual_token_type_id) == (5, True, 1)
    assert (config.visual_embedding_dim, config.num_region_classes) == (2048, 1601)
    assert (config.region_targets, config.global_region, config.pooler_act) == ({"kl": 1.0}, "first", "tanh")
    assert list(original.unused) == ["v_initializer_range"]
    assert original.unknown == ["novelty"]
    with pytest.raises(ValueError, match=r"vilbert_beta basebert\.py config lacks hidden_size"):
        config_from_vilbert_beta_base({key: value for key, value in BERT_BASE.items() if key != "hidden_size"})


def test_mmf_has_epsilons_of_its_own_a_free_decoder_and_no_global_region():
    config, _ = config_from_mmf({**SIX_CONNECT, "layer_norm_eps": 1e-5})
    assert isinstance(config, ViLBertConfig)
    assert (config.layer_norm_eps, config.visual_layer_norm_eps, config.coattention_layer_norm_eps) == (
        1e-5,
        1e-12,
        1e-12,
    )
    assert not config.tie_word_embeddings
    assert config.global_region is None


def test_a_full_mmf_config_says_which_model_it_describes():
    assert isinstance(config_from_mmf({"model_config": {"vilbert": SIX_CONNECT}})[0], ViLBertConfig)
    assert isinstance(config_from_mmf({"model_config": {"visual_bert": None}})[0], VisualBertConfig)
    with pytest.raises(ValueError, match="mmf config lacks v_feature_size, .*: give the config that the checkpoint"):
        config_from_mmf({"model_config": {"vilbert": {"training_head_type": "classification", "num_labels": 2}}})
    with pytest.raises(ValueError, match="describes mmbt; vilbert and visual_bert are converted"):
        config_from_mmf({"model_config": {"mmbt": {}}, "training": {}})


def test_volta_options_of_a_small_vilbert():
    values = {
        **VOLTA_SIZES,
        "image_embeddings": "vilbert",
        "tt_attn_sublayers": [0, 2, 6],
        "vv_attn_sublayers": [2, 6],
        "tv_attn_sublayers": [4, 8],
        "vt_attn_sublayers": [4, 8],
        "t_ff_sublayers": [1, 3, 5, 7, 9],
        "v_ff_sublayers": [3, 5, 7, 9],
        "shared_sublayers": [6],
        "visual_target_weights": {"0": 0.5, "1": 0, "3": 2.0},
        "fusion_act": "tanh",
        "image_head_ln": False,
        "layer_norm_eps": 1e-6,
        "num_locs": 7,
        "add_global_imgfeat": None,
    }
    config, original = config_from_volta(values)
    assert (config.num_hidden_layers, config.visual_num_hidden_layers) == (3, 2)
    # The second co-attention runs behind all layers.
    assert (config.text_coattention_ids, config.visual_coattention_ids) == ([2, 3], [1, 2])
    assert config.region_targets == {"kl": 0.5, "object": 2.0}
    assert (config.pooler_act, config.region_head_layer_norm, config.visual_location_size) == ("tanh", False, 7)
    assert config.coattention_layer_norm_eps == config.visual_layer_norm_eps == 1e-6
    assert any("sub-layers [6]" in note for note in original.notes)


def test_volta_visualbert_has_region_type_1():
    config, original = config_from_volta(VOLTA_VISUALBERT)
    assert isinstance(config, VisualBertConfig)
    assert config.visual_token_type_id == 1
    assert "boxes" in original.unused["num_locs"]


def test_transformers_defaults():
    config, original = config_from_transformers({"visual_embedding_dim": 2048, "architectures": ["X"], "odd": 1})
    assert (config.visual_token_type_id, config.pad_token_id) == (1, 1)
    assert original.unknown == ["odd"]
    assert config_from_transformers({})[0].visual_embedding_dim == 512
    assert config_from_transformers({"visual_token_type_id": 0})[0].visual_token_type_id == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_embeddings": "lxmert"}, "image_embeddings='lxmert'"),
        ({"bert_model": "roberta-base"}, "counts positions from 2"),
        ({"itm_dim": 1}, "itm_dim=1"),
        ({"v_pooler_size": 7}, "pooler_size and v_pooler_size differ"),
        ({"tv_attn_sublayers": [12]}, "sub-layer 16 .* goes one way only"),
        (
            {"t_ff_sublayers": [1, 3]},
            "sub-layer 4 .* attention without a feed-forward|feed-forward that does not follow",
        ),
        ({"sublayer2attn_hidden_size": {"0": 64}}, "sub-layer 0 .* attn_hidden_size of its own"),
        ({"sublayer2num_attention_heads": {"12": 6}}, "several widths and heads"),
        ({"sublayer2intermediate_size": {"13": 64}}, "sub-layer 13 .* intermediate_size of its own"),
    ],
)
def test_volta_models_that_ours_are_not(changes, message):
    with pytest.raises(ValueError, match=message):
        config_from_volta({**VOLTA_VILBERT, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tv_attn_sublayers": []}, "sub-layer 0 .* does not attend over text and image at once"),
        ({"shared_sublayers": [0]}, "sub-layer 1 .* weights of its own"),
        ({"v_ff_sublayers": [1]}, "sub-layer 2 .* without a feed-forward of both streams"),
    ],
)
def test_volta_visualberts_with_two_sets_of_weights(changes, message):
    with pytest.raises(ValueError, match=message):
        config_from_volta({**VOLTA_VISUALBERT, **changes})


def test_missing_sizes_are_named():
    with pytest.raises(ValueError, match="vilbert_beta config lacks hidden_size, bi_hidden_size|lacks hidden_size"):
        config_from_vilbert_beta({key: value for key, value in SIX_CONNECT.items() if key != "hidden_size"})
    with pytest.raises(ValueError, match=r"uclanlp/visualbert config lacks vocab_size, hidden_size"):
        config_from_uclanlp({"bert_model_name": "bert-large-uncased"})


def test_features_of_another_width_cannot_be_predicted():
    with pytest.raises(ValueError, match="v_target_size 1601, but features have v_feature_size 2048"):
        config_from_vilbert_beta({**SIX_CONNECT, "predict_feature": True})
    with pytest.raises(ValueError, match="task_specific_tokens=True raises an error in MMF"):
        config_from_mmf({**SIX_CONNECT, "task_specific_tokens": True})


def test_keys_without_effect_have_a_reason_and_strangers_are_named():
    values, _ = checkpoint("uclanlp")
    _, original = config_from_uclanlp({**values, "train_batch_size": 4, "novelty": 1})
    assert original.unused["train_batch_size"] == "how to train, not what the model computes"
    assert original.unknown == ["novelty"]
