"""What a score is: pure functions of predictions and right answers, and a folder for `evaluate` for each benchmark."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .box_recall import score_phrases, score_referring
    from .example_ids import by_example_id
    from .gqa import gqa_consistency, gqa_distribution, score_gqa
    from .labels import score_labels
    from .nlvr2 import score_nlvr2
    from .recall import best_ranks, chance_recall_at_k, recall_at_k, score_retrieval
    from .shares import Share, flat, markdown_table, wilson_interval
    from .vcr import score_vcr
    from .vqa import score_vqa
    from .vqa_scores import normalize_answer, soft_scores

_HOMES = {
    "Share": "shares",
    "best_ranks": "recall",
    "by_example_id": "example_ids",
    "chance_recall_at_k": "recall",
    "flat": "shares",
    "gqa_consistency": "gqa",
    "gqa_distribution": "gqa",
    "markdown_table": "shares",
    "normalize_answer": "vqa_scores",
    "recall_at_k": "recall",
    "score_gqa": "gqa",
    "score_labels": "labels",
    "score_nlvr2": "nlvr2",
    "score_phrases": "box_recall",
    "score_referring": "box_recall",
    "score_retrieval": "recall",
    "score_vcr": "vcr",
    "score_vqa": "vqa",
    "soft_scores": "vqa_scores",
    "wilson_interval": "shares",
}

__all__ = [
    "Share",
    "best_ranks",
    "by_example_id",
    "chance_recall_at_k",
    "flat",
    "gqa_consistency",
    "gqa_distribution",
    "markdown_table",
    "normalize_answer",
    "recall_at_k",
    "score_gqa",
    "score_labels",
    "score_nlvr2",
    "score_phrases",
    "score_referring",
    "score_retrieval",
    "score_vcr",
    "score_vqa",
    "soft_scores",
    "wilson_interval",
]


def __getattr__(name: str) -> Any:
    # Names are looked up when they are used: whoever prepares annotations never waits for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
