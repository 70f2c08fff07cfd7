"""Names that uclanlp's VisualBERT gave its weights; MMF and VOLTA keep those of the embeddings."""

from __future__ import annotations

from configuration_vl.configuration_visualbert import VisualBertConfig

from .rules import POSITION_IDS, TOKEN_HEAD, WEIGHT, Rule, drop

TEXT_EMBEDDINGS = Rule(
    r"bert\.embeddings\.((?:word|position|token_type)_embeddings\.weight|LayerNorm\.(?:weight|bias))",
    r"visual_bert.embeddings.\1",
)
EMBEDDING_RULES = (
    TEXT_EMBEDDINGS,
    Rule(
        r"bert\.embeddings\.(token_type|position)_embeddings_visual\.weight",
        r"visual_bert.embeddings.visual_\1_embeddings.weight",
    ),
    Rule(rf"bert\.embeddings\.projection\.{WEIGHT}", r"visual_bert.embeddings.visual_projection.\1"),
    POSITION_IDS,
)


def visualbert_rules(config: VisualBertConfig) -> list[Rule]:
    """All names of uclanlp's and MMF's pre-training classes.

    Args:
        config: Our configuration; it says whether the model has the additional layer.

    Returns:
        The rules.
    """
    additional = r"bert\.additional_layer\.(.+)"
    return [
        *EMBEDDING_RULES,
        Rule(additional, r"visual_bert.additional_layer.\1")
        if config.bypass_transformer
        else drop(additional, "the config has no bypass_transformer"),
        *shared_rules(),
    ]


def shared_rules() -> list[Rule]:
    """Layers, pooler and text heads: plain BERT's names, which vilbert_beta's single-stream baseline has too."""
    return [
        Rule(r"bert\.encoder\.layer\.(\d+\..+)", r"visual_bert.encoder.layer.\1"),
        Rule(rf"bert\.pooler\.dense\.{WEIGHT}", r"visual_bert.pooler.dense.\1"),
        *TOKEN_HEAD,
        Rule(rf"cls\.seq_relationship\.{WEIGHT}", r"cls.seq_relationship.\1"),
    ]
