"""What a score is: pure functions of predictions and right answers."""

from .recall import best_ranks, chance_recall_at_k, recall_at_k

__all__ = ["best_ranks", "chance_recall_at_k", "recall_at_k"]
