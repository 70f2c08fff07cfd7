"""What vilbert_beta, vilbert-multi-task and MMF's ViLBERT have in common, and in part VOLTA: names and config keys."""

from __future__ import annotations

from typing import Any

from configuration_vl.configuration_vilbert import ViLBertConfig

from .original_config import TEXT_FIELDS, OriginalConfig
from .rules import POSITION_IDS, TOKEN_HEAD, WEIGHT, Rule, drop

VISUAL_FIELDS = {
    "v_feature_size": "visual_embedding_dim",
    "v_hidden_size": "visual_hidden_size",
    "v_num_attention_heads": "visual_num_attention_heads",
    "v_intermediate_size": "visual_intermediate_size",
    "v_hidden_act": "visual_hidden_act",
    "v_hidden_dropout_prob": "visual_hidden_dropout_prob",
    "v_attention_probs_dropout_prob": "visual_attention_probs_dropout_prob",
}
"""Fields of the image stream, in VOLTA too."""

COATTENTION_FIELDS = {
    "v_num_hidden_layers": "visual_num_hidden_layers",
    "bi_hidden_size": "coattention_hidden_size",
    "bi_num_attention_heads": "coattention_num_attention_heads",
    "t_biattention_id": "text_coattention_ids",
    "v_biattention_id": "visual_coattention_ids",
}

OPTIONAL_FIELDS = {
    "fusion_method": "fusion_method",
    "with_coattention": "use_coattention",
    "fixed_t_layer": "frozen_text_layers",
    "fixed_v_layer": "frozen_visual_layers",
    "dynamic_attention": "dynamic_attention",
    "num_negative": "num_region_negatives",
}

REGION_TARGET_NAMES = {0: "kl", 1: "mse", 2: "nce"}
"""`visual_target` of vilbert-multi-task and MMF."""

WORD_SCORES = drop(r"linguisic_logit\..+", "a score for each word piece, which no task of the code base reads")
"""Spelt as the code bases spell it."""

NUM_TASK_TOKENS = 20
"""Rows of the task token table, a number in vilbert-multi-task's code."""

UNUSED_KEYS = {
    "pooling_method": "the original reads fusion_method instead",
    "bi_intermediate_size": "the original never reads it",
    "bi_attention_type": "the original never reads it",
    "intra_gate": "the original never reads it",
    "v_initializer_range": "the original never reads it",
    "objective": "how labels are made, not what the model computes",
    "fast_mode": "a way of calling: give pair_index",
    "in_batch_pairs": "a way of calling: give pair_index",
    "visualization": "whether attention maps are returned: output_attentions",
    "model": "the original computes the same for bert and roberta; the tokenizer is yours to give",
}


def vilbert_fields(original: OriginalConfig, text_fields: dict[str, Any], target: str) -> dict[str, Any]:
    """Arguments of our config that the three code bases write alike.

    Args:
        original: The config.
        text_fields: Arguments of the text stream.
        target: What masked regions predict, a key of `region_targets`.

    Returns:
        Arguments of `ViLBertConfig`.

    Raises:
        ValueError: When a key is missing, or features are to be predicted with another width than they have.
    """
    fields = text_fields | original.take_fields(VISUAL_FIELDS | COATTENTION_FIELDS, required=True)
    fields |= original.take_fields(OPTIONAL_FIELDS, required=False)
    size = original.take("v_target_size", 1601)
    if target == "kl":
        fields["num_region_classes"] = size
    elif size != fields["visual_embedding_dim"]:
        raise ValueError(
            f"the {original.code_base} config predicts region features ({target}) with v_target_size {size}, but "
            f"features have v_feature_size {fields['visual_embedding_dim']}"
        )
    original.leave(UNUSED_KEYS)
    return fields | {"region_targets": {target: 1.0}}


def full_text_fields(original: OriginalConfig) -> dict[str, Any]:
    """The text stream's arguments, where the config must give all of them."""
    return original.take_fields(TEXT_FIELDS, required=True)


def embedding_rules() -> list[Rule]:
    """Embeddings and poolers, which VOLTA's ViLBERT names alike."""
    return [
        Rule(
            r"bert\.embeddings\.((?:word|position|token_type)_embeddings\.weight|LayerNorm\.(?:weight|bias))",
            r"vilbert.text_embeddings.\1",
        ),
        Rule(rf"bert\.v_embeddings\.image_embeddings\.{WEIGHT}", r"vilbert.visual_embeddings.feature_projection.\1"),
        Rule(
            rf"bert\.v_embeddings\.image_location_embeddings\.{WEIGHT}",
            r"vilbert.visual_embeddings.location_projection.\1",
        ),
        Rule(rf"bert\.v_embeddings\.LayerNorm\.{WEIGHT}", r"vilbert.visual_embeddings.LayerNorm.\1"),
        POSITION_IDS,
        Rule(rf"bert\.t_pooler\.dense\.{WEIGHT}", r"vilbert.text_pooler.dense.\1"),
        Rule(rf"bert\.v_pooler\.dense\.{WEIGHT}", r"vilbert.visual_pooler.dense.\1"),
    ]


REGION_TRANSFORM = Rule(
    rf"cls\.imagePredictions\.(transform\.(?:dense|LayerNorm)\.){WEIGHT}", r"cls.region_predictions.\1\2"
)


def region_decoder(target: str) -> Rule:
    """The one region decoder of vilbert_beta, vilbert-multi-task and MMF.

    Args:
        target: What it predicts, a key of `region_targets`.

    Returns:
        The rule.
    """
    return Rule(rf"cls\.imagePredictions\.decoder\.{WEIGHT}", rf"cls.region_predictions.decoders.{target}.\1")


def head_rules() -> list[Rule]:
    """Pre-training heads but the region decoders, which VOLTA names alike."""
    return [
        *TOKEN_HEAD,
        REGION_TRANSFORM,
        Rule(rf"cls\.bi_seq_relationship\.{WEIGHT}", r"cls.seq_relationship.\1"),
    ]


def vilbert_rules(config: ViLBertConfig) -> list[Rule]:
    """All names of `BertForMultiModalPreTraining` (MMF: `ViLBERTForPretraining`).

    In a connection layer 1 is the image and 2 the text. `query1` looks with the image at the text, whose `key2` and
    `value2` it reads; `biOutput.dense1` projects what the image then knows.

    Args:
        config: Our configuration; it says which optional weights the model has.

    Returns:
        The rules.
    """
    layer = r"bert\.encoder\.c_layer\.(\d+)\."
    ours = r"vilbert.encoder.coattention_layers.\1."
    return [
        *embedding_rules(),
        *_task_token_rules(config),
        Rule(r"bert\.encoder\.layer\.(\d+\..+)", r"vilbert.encoder.text_layers.\1"),
        *_gate_rules(config),
        Rule(r"bert\.encoder\.v_layer\.(\d+\..+)", r"vilbert.encoder.visual_layers.\1"),
        Rule(rf"{layer}biattention\.query1\.{WEIGHT}", rf"{ours}visual_attends_text.self.query.\2"),
        Rule(rf"{layer}biattention\.(key|value)2\.{WEIGHT}", rf"{ours}visual_attends_text.self.\2.\3"),
        Rule(rf"{layer}biattention\.query2\.{WEIGHT}", rf"{ours}text_attends_visual.self.query.\2"),
        Rule(rf"{layer}biattention\.(key|value)1\.{WEIGHT}", rf"{ours}text_attends_visual.self.\2.\3"),
        Rule(rf"{layer}biOutput\.(dense|LayerNorm)1\.{WEIGHT}", rf"{ours}visual_attends_text.output.\2.\3"),
        Rule(rf"{layer}biOutput\.(dense|LayerNorm)2\.{WEIGHT}", rf"{ours}text_attends_visual.output.\2.\3"),
        drop(rf"{layer}biOutput\.q_dense[12]\.{WEIGHT}", "the original builds it and never uses it"),
        Rule(rf"{layer}v_(intermediate|output)\.(dense|LayerNorm)\.{WEIGHT}", rf"{ours}visual_\2.\3.\4"),
        Rule(rf"{layer}t_(intermediate|output)\.(dense|LayerNorm)\.{WEIGHT}", rf"{ours}text_\2.\3.\4"),
        *head_rules(),
        region_decoder(next(iter(config.region_targets))),
    ]


def vilbert_and_task_rules(config: ViLBertConfig, original: OriginalConfig) -> list[Rule]:
    """All names of vilbert_beta and vilbert-multi-task but the task heads.

    Args:
        config: Our configuration.
        original: Not needed here.

    Returns:
        The rules.
    """
    return [*vilbert_rules(config), WORD_SCORES]


def _task_token_rules(config: ViLBertConfig) -> list[Rule]:
    if not config.num_task_tokens:
        return []
    return [Rule(r"bert\.embeddings\.task_embeddings\.weight", "vilbert.text_embeddings.task_embeddings.weight")]


def _gate_rules(config: ViLBertConfig) -> list[Rule]:
    if not config.dynamic_attention:
        return []
    gates = r"bert\.encoder\.v_layer\.(\d+\.attention\.self)\.dyLinear_"
    return [
        Rule(rf"{gates}q\.{WEIGHT}", r"vilbert.encoder.visual_layers.\1.query_gate.\2"),
        Rule(rf"{gates}k\.{WEIGHT}", r"vilbert.encoder.visual_layers.\1.key_gate.\2"),
    ]
