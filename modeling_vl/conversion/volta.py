"""Checkpoints of e-bug/volta: its ViLBERT and its VisualBERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_vilbert import ViLBertConfig
from configuration_vl.configuration_visualbert import VisualBertConfig

from .code_base_heads import VOLTA_HEADS
from .original_config import TEXT_FIELDS, OriginalConfig
from .renaming import CodeBase
from .rules import WEIGHT, Rule, drop, drop_copy
from .vilbert_names import VISUAL_FIELDS, embedding_rules, head_rules
from .visualbert_names import EMBEDDING_RULES
from .volta_sublayers import check_widths, coattention_width, read_one_stream, read_two_streams

NAME = "volta"

REGION_TARGET_NAMES = {
    "0": "kl",
    "1": "mse",
    "2": "nce",
    "3": "object",
    "4": "attribute",
    "5": "huber",
    "6": "class",
}
"""Keys of `visual_target_weights`."""

_UNUSED_KEYS = {
    "bert_layer2attn_sublayer": "where the layers of a BERT go when training starts",
    "bert_layer2ff_sublayer": "where the layers of a BERT go when training starts",
    "clf_hidden_size": "read off the weights of the head",
    "do_lower_case": "an option of the tokenizer",
    "fixed_layers": "how to train, not what the model computes",
    "model": "the tokenizer's name",
    "norm_embeddings": "how features are read, not what the model computes",
    "objective": "how labels are made, not what the model computes",
    "qa_num_answers": "the answer head of LXMERT-style pre-training, which these models do not have",
    "qa_task_weight": "the answer head of LXMERT-style pre-training, which these models do not have",
    "single_ln_sublayers": "one layer norm over the joined sequence is the shared layer norm over each part",
    "v_initializer_range": "the original never reads it",
    "visualization": "whether attention maps are returned: output_attentions",
}


def config_from_volta(values: Mapping[str, Any]) -> tuple[ViLBertConfig | VisualBertConfig, OriginalConfig]:
    """Our configuration of a `config/*vilbert*.json` or `config/*visualbert*.json`.

    Args:
        values: The config.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When the config describes another model, or one that ours cannot express.
    """
    original = OriginalConfig(values, NAME)
    kind = original.take("image_embeddings", "vilbert")
    if kind not in ("vilbert", "visualbert"):
        raise ValueError(f"the VOLTA config describes image_embeddings={kind!r}; vilbert and visualbert are converted")
    if "roberta" in original.take("bert_model", "bert-base-uncased"):
        raise ValueError(f"bert_model={values['bert_model']!r} counts positions from 2, which our models do not")
    if original.take("itm_dim", 2) != 2:
        raise ValueError(f"itm_dim={values['itm_dim']}: our alignment head tells match from mismatch, 2 classes")
    original.leave(_UNUSED_KEYS)
    return (_vilbert if kind == "vilbert" else _visualbert)(original), original


def _shared_fields(original: OriginalConfig, num_layers: int) -> dict[str, Any]:
    names = {name: ours for name, ours in TEXT_FIELDS.items() if name != "num_hidden_layers"}
    weights = original.take("visual_target_weights", {"0": 1})
    fusion = original.take("fusion_method", "mul")
    pooler_size = original.take("pooler_size", 768)
    if fusion == "text":
        original.leave({"v_pooler_size": "fusion_method='text' builds no image pooler"})
    elif original.take("v_pooler_size", 1024) != pooler_size:
        raise ValueError("pooler_size and v_pooler_size differ: their vectors cannot be fused")
    return {
        **original.take_fields(names, required=True),
        **original.take_fields({"v_feature_size": "visual_embedding_dim"}, required=True),
        "num_hidden_layers": num_layers,
        "layer_norm_eps": original.take("layer_norm_eps", 1e-12),
        "pad_token_id": original.take("pad_token_id", 0),
        "global_region": original.take("add_global_imgfeat", None),
        "region_targets": {REGION_TARGET_NAMES[key]: weight for key, weight in weights.items() if weight > 0},
        "region_head_layer_norm": original.take("image_head_ln", True),
        "pooler_act": "relu" if original.take("fusion_act", "relu") == "relu" else "tanh",
        "pooler_size": pooler_size,
        "fusion_method": fusion,
        "fusion_dropout_prob": 0.1,
    }


def _vilbert(original: OriginalConfig) -> ViLBertConfig:
    streams = read_two_streams(original)
    check_widths(original, streams.coattention)
    width, heads = coattention_width(original, streams.coattention)
    fields = _shared_fields(original, len(streams.text)) | original.take_fields(VISUAL_FIELDS, required=True)
    if streams.shared:
        original.notes.append(
            f"text and image share the weights of sub-layers {streams.shared} in VOLTA; here each has a copy, equal "
            "now, that further training may change on its own"
        )
    return ViLBertConfig(
        **fields,
        visual_num_hidden_layers=len(streams.visual),
        visual_embedding_dropout_prob=fields["visual_hidden_dropout_prob"],
        visual_layer_norm_eps=fields["layer_norm_eps"],
        visual_location_size=original.take("num_locs", 5),
        coattention_hidden_size=width,
        coattention_num_attention_heads=heads,
        coattention_layer_norm_eps=fields["layer_norm_eps"],
        coattention_dropout_stream="query",
        text_coattention_ids=streams.text_coattention_ids,
        visual_coattention_ids=streams.visual_coattention_ids,
    )


def _visualbert(original: OriginalConfig) -> VisualBertConfig:
    layers = read_one_stream(original)
    check_widths(original, [])
    shared = dict.fromkeys(VISUAL_FIELDS, "every sub-layer is shared: text and image use the text's")
    original.leave({key: reason for key, reason in shared.items() if key != "v_feature_size"})
    original.leave({"num_locs": "VisualBERT does not look at boxes"})
    return VisualBertConfig(**_shared_fields(original, len(layers)), visual_token_type_id=1)


def _rules(config: ViLBertConfig | VisualBertConfig, original: OriginalConfig) -> list[Rule]:
    rules = _vilbert_rules(original) if isinstance(config, ViLBertConfig) else _visualbert_rules(original)
    names = {ours: key for key, ours in REGION_TARGET_NAMES.items()}
    decoders = [
        Rule(
            rf"cls\.imagePredictions\.decoder_dict\.{names[target]}\.{WEIGHT}",
            rf"cls.region_predictions.decoders.{target}.\1",
        )
        for target in config.region_targets
    ]
    answers = "the answer head of LXMERT-style pre-training, which these models do not have"
    return [*rules, *head_rules(), *decoders, drop(r"cls\.qaPredictions\..+", answers)]


def _layer_rules(sublayer: int, twin: str, attention: str, intermediate: str, output: str) -> list[Rule]:
    """One stream of an attention sub-layer and the feed-forward behind it; `twin` is "v_" for the image."""
    attend, widen = (rf"bert\.encoder\.layer\.{number}\." for number in (sublayer, sublayer + 1))
    return [
        Rule(rf"{attend}attention_output\.{twin}(dense|LayerNorm)\.{WEIGHT}", rf"{attention}.output.\1.\2"),
        Rule(rf"{widen}intermediate\.{twin}dense\.{WEIGHT}", rf"{intermediate}.dense.\1"),
        Rule(rf"{widen}output\.{twin}(dense|LayerNorm)\.{WEIGHT}", rf"{output}.\1.\2"),
    ]


def _projection_rule(sublayer: int, projections: str, target: str) -> Rule:
    return Rule(rf"bert\.encoder\.layer\.{sublayer}\.attention_self\.{projections}\.{WEIGHT}", target)


def _vilbert_rules(original: OriginalConfig) -> list[Rule]:
    streams = read_two_streams(original)
    rules = embedding_rules()
    for name, twin, layers in (("text", "", streams.text), ("visual", "v_", streams.visual)):
        for index, sublayer in enumerate(layers):
            layer = f"vilbert.encoder.{name}_layers.{index}"
            rules.append(_projection_rule(sublayer, rf"{twin}(query|key|value)", rf"{layer}.attention.self.\1.\2"))
            rules += _layer_rules(sublayer, twin, f"{layer}.attention", f"{layer}.intermediate", f"{layer}.output")
    for index, sublayer in enumerate(streams.coattention):
        layer = f"vilbert.encoder.coattention_layers.{index}"
        for twin, name, looking, looked_at in (
            ("", "text", "text_attends_visual", "visual_attends_text"),
            ("v_", "visual", "visual_attends_text", "text_attends_visual"),
        ):
            rules.append(_projection_rule(sublayer, rf"{twin}query", rf"{layer}.{looking}.self.query.\1"))
            rules.append(_projection_rule(sublayer, rf"{twin}(key|value)", rf"{layer}.{looked_at}.self.\1.\2"))
            rules += _layer_rules(
                sublayer, twin, f"{layer}.{looking}", f"{layer}.{name}_intermediate", f"{layer}.{name}_output"
            )
    return rules


def _visualbert_rules(original: OriginalConfig) -> list[Rule]:
    rules = [
        *EMBEDDING_RULES,
        Rule(rf"bert\.t_pooler\.dense\.{WEIGHT}", r"visual_bert.pooler.dense.\1"),
        Rule(rf"bert\.v_pooler\.dense\.{WEIGHT}", r"visual_bert.visual_pooler.dense.\1"),
        drop_copy(r"(bert\.encoder\.layer\.\d+\.\w+)\.v_(\w+\.(?:weight|bias))", r"\1.\2"),
    ]
    for index, sublayer in enumerate(read_one_stream(original)):
        layer = f"visual_bert.encoder.layer.{index}"
        rules.append(_projection_rule(sublayer, "(query|key|value)", rf"{layer}.attention.self.\1.\2"))
        rules += _layer_rules(sublayer, "", f"{layer}.attention", f"{layer}.intermediate", f"{layer}.output")
    return rules


VOLTA = CodeBase(NAME, config_from_volta, _rules, VOLTA_HEADS)
"""Row 0 of its alignment head is the match."""
