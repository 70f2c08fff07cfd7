"""Checkpoints of vilbert_beta's `basebert.py`, the single-stream baseline of the ViLBERT paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_visualbert import VisualBertConfig

from .code_base_heads import VILBERT_BETA_HEADS
from .original_config import OriginalConfig
from .renaming import CodeBase
from .rules import WEIGHT, Rule
from .vilbert_names import REGION_TRANSFORM, UNUSED_KEYS, WORD_SCORES, full_text_fields, region_decoder
from .visualbert_names import TEXT_EMBEDDINGS, shared_rules

NAME = "vilbert_beta basebert.py"


def config_from_vilbert_beta_base(values: Mapping[str, Any]) -> tuple[VisualBertConfig, OriginalConfig]:
    """Our configuration of a `config/bert_base_baseline.json`.

    The model is a VisualBERT that also reads boxes and gives regions a layer norm of their own. The widths of features
    and classes, 2048 and 1601, are numbers in the code.

    Args:
        values: The config.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When a key is missing or fields contradict each other.
    """
    original = OriginalConfig(values, NAME)
    config = VisualBertConfig(
        **full_text_fields(original),
        visual_embedding_dim=2048,
        num_region_classes=1601,
        region_targets={"kl": 1.0},
        global_region="first",
        visual_location_size=5,
        separate_layer_norms=True,
        visual_token_type_id=1,
        special_visual_initialize=False,
    )
    original.leave(UNUSED_KEYS)
    return config, original


def _rules(config: VisualBertConfig, original: OriginalConfig) -> list[Rule]:
    theirs, ours = r"bert\.image_embeddings", "visual_bert.embeddings.visual"
    return [
        TEXT_EMBEDDINGS,
        Rule(rf"{theirs}\.image_embeddings\.{WEIGHT}", rf"{ours}_projection.\1"),
        Rule(rf"{theirs}\.image_location_embeddings\.{WEIGHT}", rf"{ours}_location_projection.\1"),
        Rule(rf"{theirs}\.token_type_embeddings\.weight", f"{ours}_token_type_embeddings.weight"),
        Rule(rf"{theirs}\.LayerNorm\.{WEIGHT}", rf"{ours}_LayerNorm.\1"),
        *shared_rules(),
        REGION_TRANSFORM,
        region_decoder("kl"),
        WORD_SCORES,
    ]


VILBERT_BETA_BASE = CodeBase(
    NAME,
    config_from_vilbert_beta_base,
    _rules,
    VILBERT_BETA_HEADS,
    filled={
        "visual_bert.embeddings.visual_position_embeddings.weight": (
            "the original gives regions no position; VisualBERT adds the first row of this table to each"
        ),
    },
)
"""Its pre-training class cannot run, so no checkpoint shows which row of its alignment head is the match; row 0 is
taken, as in the rest of vilbert_beta."""
