"""Recall at k of retrieval, from a matrix of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def best_ranks(scores: ArrayLike, relevant: ArrayLike) -> np.ndarray:
    """Rank of the best relevant candidate of each query.

    Ties are counted against the model: the rank is 1 plus the number of irrelevant candidates that score as high as
    the best relevant one, or higher. So the order of candidates does not matter, and a model that gives every pair the
    same score finds nothing.

    Args:
        scores: `[Q, C]`, higher is better.
        relevant: bool `[Q, C]`, True for right answers.

    Returns:
        int64 `[Q]`, from 1.

    Raises:
        ValueError: If shapes differ, a score is not a number, or a query has no relevant candidate.
    """
    scores, relevant = np.asarray(scores), np.asarray(relevant, dtype=bool)
    if scores.ndim != 2 or scores.shape != relevant.shape:
        raise ValueError(
            f"scores and relevant must have one shape [queries, candidates], got {list(scores.shape)} and "
            f"{list(relevant.shape)}"
        )
    if np.isnan(scores).any():
        query, candidate = np.argwhere(np.isnan(scores))[0]
        raise ValueError(f"the score of query {query} and candidate {candidate} is not a number")
    lost = np.flatnonzero(~relevant.any(axis=1))
    if lost.size:
        raise ValueError(f"{lost.size} queries have no relevant candidate, the first is query {lost[0]}")
    best = np.max(scores, axis=1, where=relevant, initial=-np.inf)
    return 1 + np.count_nonzero((scores >= best[:, None]) & ~relevant, axis=1)


def recall_at_k(scores: ArrayLike, relevant: ArrayLike, ks: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Share of queries with a relevant candidate among the first k.

    Args:
        scores: `[Q, C]`, higher is better; ties count against the model, see `best_ranks`.
        relevant: bool `[Q, C]`.
        ks: Numbers of candidates looked at.

    Returns:
        Recall in [0, 1] by k.

    Raises:
        ValueError: See `best_ranks`; or if a k is below 1.
    """
    _check_ks(ks)
    ranks = best_ranks(scores, relevant)
    return {k: float(np.mean(ranks <= k)) for k in ks}


def chance_recall_at_k(relevant: ArrayLike, ks: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Expected recall at k of candidates in random order.

    Of C candidates with r relevant ones, k random ones hold none with probability binom(C - r, k) / binom(C, k).

    Args:
        relevant: bool `[Q, C]`.
        ks: Numbers of candidates looked at.

    Returns:
        Expected recall by k.

    Raises:
        ValueError: If a k is below 1.
    """
    _check_ks(ks)
    relevant = np.asarray(relevant, dtype=bool)
    candidates, found = relevant.shape[1], relevant.sum(axis=1)
    chances = {}
    for k in ks:
        missed = np.ones(len(found))
        for draw in range(min(k, candidates)):
            missed *= np.maximum(candidates - found - draw, 0) / (candidates - draw)
        chances[k] = float(np.mean(1 - missed))
    return chances


def _check_ks(ks: Sequence[int]) -> None:
    if any(k < 1 for k in ks):
        raise ValueError(f"every k must be at least 1, got {list(ks)}")
