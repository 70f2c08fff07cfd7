"""Checkpoints of facebookresearch/vilbert-multi-task, the code of 12-in-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_vilbert import ViLBertConfig

from .code_base_heads import VILBERT_MULTI_TASK_HEADS
from .original_config import OriginalConfig
from .renaming import CodeBase
from .rules import WEIGHT, Rule, drop
from .vilbert_names import (
    NUM_TASK_TOKENS,
    REGION_TARGET_NAMES,
    full_text_fields,
    vilbert_and_task_rules,
    vilbert_fields,
)

NAME = "vilbert-multi-task"

_ROBERTA_KEYS = (
    "finetuning_task",
    "layer_norm_eps",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "torchscript",
)
"""What `roberta_base_6layer_6connect.json` has from the RoBERTa it was copied from."""

_WEIGHTS_OF_OPTIONS = {
    "task_specific_tokens": r"embeddings\.task_embeddings\.weight",
    "dynamic_attention": rf"encoder\.v_layer\.\d+\.attention\.self\.dyLinear_[qk]\.{WEIGHT}",
}


def config_from_vilbert_multi_task(values: Mapping[str, Any]) -> tuple[ViLBertConfig, OriginalConfig]:
    """Our configuration of a `config/bert_*_connect.json`.

    The training script adds `visual_target`, `task_specific_tokens` and `dynamic_attention` from its command line, and
    no file has them. A conversion sees the last two by the weights; `visual_target` is 0 unless it is added to the
    config.

    Args:
        values: The config.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When a key is missing or fields contradict each other.
    """
    original = OriginalConfig(values, NAME)
    original.leave(dict.fromkeys(_ROBERTA_KEYS, "the original never reads it"))
    target = REGION_TARGET_NAMES[original.take("visual_target", 0)]
    fields = vilbert_fields(original, full_text_fields(original), target)
    fields["num_task_tokens"] = NUM_TASK_TOKENS if original.take("task_specific_tokens", False) else 0
    return ViLBertConfig(**fields), original


def _rules(config: ViLBertConfig, original: OriginalConfig) -> list[Rule]:
    off = [
        drop(rf"bert\.{weights}", f"the config says {option} is False")
        for option, weights in _WEIGHTS_OF_OPTIONS.items()
        if not original.take(option, False)
    ]
    return [*off, *vilbert_and_task_rules(config, original)]


VILBERT_MULTI_TASK = CodeBase(
    NAME,
    config_from_vilbert_multi_task,
    _rules,
    VILBERT_MULTI_TASK_HEADS,
    weights_of_options=_WEIGHTS_OF_OPTIONS,
)
"""Row 0 of its alignment head is the match."""
