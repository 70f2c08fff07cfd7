"""Checkpoints of facebookresearch/vilbert-multi-task, the code of 12-in-1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_vilbert import ViLBertConfig

from .original_config import OriginalConfig
from .renaming import CodeBase
from .vilbert_names import (
    NUM_TASK_TOKENS,
    REGION_TARGET_NAMES,
    full_text_fields,
    vilbert_and_task_rules,
    vilbert_fields,
)

NAME = "vilbert-multi-task"


def config_from_vilbert_multi_task(values: Mapping[str, Any]) -> tuple[ViLBertConfig, OriginalConfig]:
    """Our configuration of a `config/bert_*_connect.json`.

    The training script adds `visual_target` (0 when it is not in the file), `task_specific_tokens` and
    `dynamic_attention` from its command line: add them to the config when the checkpoint was trained with them.

    Args:
        values: The config.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When a key is missing or fields contradict each other.
    """
    original = OriginalConfig(values, NAME)
    target = REGION_TARGET_NAMES[original.take("visual_target", 0)]
    fields = vilbert_fields(original, full_text_fields(original), target)
    fields["num_task_tokens"] = NUM_TASK_TOKENS if original.take("task_specific_tokens", False) else 0
    return ViLBertConfig(**fields), original


VILBERT_MULTI_TASK = CodeBase(NAME, config_from_vilbert_multi_task, vilbert_and_task_rules)
"""Row 0 of its alignment head is the match."""
