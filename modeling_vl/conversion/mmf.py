"""Checkpoints of facebookresearch/mmf: its ViLBERT and its VisualBERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_vilbert import ViLBertConfig
from configuration_vl.configuration_visualbert import VisualBertConfig

from .code_base_heads import MMF_HEADS
from .original_config import OriginalConfig
from .renaming import CodeBase
from .rules import Rule
from .uclanlp import MODEL_FIELDS
from .vilbert_names import REGION_TARGET_NAMES, vilbert_fields, vilbert_rules
from .visualbert_names import visualbert_rules

NAME = "mmf"

_TRAINING_KEYS = (
    "biasfill",
    "cut_first",
    "embedding_strategy",
    "finetune_lr_multiplier",
    "freeze_base",
    "hard_cap_seq_len",
    "losses",
    "output_attentions",
    "output_hidden_states",
    "pooler_strategy",
    "random_initialize",
    "text_only",
    "training_head_type",
    "zerobias",
)
_VISUALBERT_KEYS = ("bypass_transformer", "special_visual_initialize", "visual_embedding_dim")


def config_from_mmf(values: Mapping[str, Any]) -> tuple[ViLBertConfig | VisualBertConfig, OriginalConfig]:
    """Our configuration of MMF's `model_config.vilbert` or `model_config.visual_bert`.

    MMF feeds no global region, and its text layer norms have BERT's epsilon while the image's and the co-attention's
    are fixed to 1e-12. Its ViLBERT never ties the vocabulary decoder.

    Args:
        values: The model's config, flat or as it lies in a full MMF config. Sizes of the text stream default to BERT
            base's, which MMF reads from the BERT it starts from.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When the config describes another model, a key is missing or fields contradict each other.
    """
    models = values.get("model_config")
    if models is None:
        is_vilbert = "t_biattention_id" in values
    else:
        name = next((name for name in ("vilbert", "visual_bert") if name in models), None)
        if name is None:
            raise ValueError(
                f"the model_config of the MMF config describes {', '.join(models) or 'nothing'}; vilbert and "
                "visual_bert are converted"
            )
        values, is_vilbert = models[name] or {}, name == "vilbert"
    original = OriginalConfig(values, NAME)
    original.leave({"num_labels": "read off the weights of the head"})
    original.leave(dict.fromkeys(_TRAINING_KEYS, "how MMF trains or calls the model, not what it computes"))
    text_fields = original.take_bert_fields() | {"layer_norm_eps": original.take("layer_norm_eps", 1e-12)}
    if not is_vilbert:
        original.leave({"model": "the model's name"})
        return VisualBertConfig(**text_fields, **original.take_fields(MODEL_FIELDS, required=False)), original
    target = REGION_TARGET_NAMES[original.take("visual_target", 0)]
    fields = vilbert_fields(original, text_fields, target)
    original.leave(dict.fromkeys(_VISUALBERT_KEYS, "an option of VisualBERT, which MMF writes beside ViLBERT's"))
    if original.take("task_specific_tokens", False):
        raise ValueError("task_specific_tokens=True raises an error in MMF's ViLBERT: no checkpoint can have them")
    return ViLBertConfig(**fields, tie_word_embeddings=False, global_region=None), original


def _rules(config: ViLBertConfig | VisualBertConfig, original: OriginalConfig) -> list[Rule]:
    return vilbert_rules(config) if isinstance(config, ViLBertConfig) else visualbert_rules(config)


MMF = CodeBase(
    NAME,
    config_from_mmf,
    _rules,
    MMF_HEADS,
    notes=("MMF trains no alignment loss: its alignment head is as good as the weights that training started from",),
)
"""Rows of the alignment head mean what they meant where training started: in ViLBERT's released weights and in BERT's
next-sentence head row 0 is the match. Started from nothing, they mean nothing."""
