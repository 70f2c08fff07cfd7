"""Recall at k of retrieval, from a matrix of scores in memory or on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from .shares import Share, share_of


class ScoreMatrix(Protocol):
    """Scores `[N, M]` of N texts and M images: an array, a memory map, or whatever else hands out slices of rows."""

    shape: tuple[int, ...]

    def __getitem__(self, rows: slice, /) -> ArrayLike:
        """Some of the rows."""


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
    best = np.where(relevant, scores, -np.inf).max(axis=1)
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
    check_ks(ks)
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
    check_ks(ks)
    relevant = np.asarray(relevant, dtype=bool)
    candidates, found = relevant.shape[1], relevant.sum(axis=1)
    chances = {}
    for k in ks:
        missed = np.ones(len(found))
        for draw in range(min(k, candidates)):
            missed *= np.maximum(candidates - found - draw, 0) / (candidates - draw)
        chances[k] = float(np.mean(1 - missed))
    return chances


def score_retrieval(
    scores: ScoreMatrix, owners: ArrayLike, ks: Sequence[int] = (1, 5, 10), *, rows_per_chunk: int = 1024
) -> dict[str, dict[str, Share]]:
    """Recall of images given a text, and of texts given an image, a part of the scores at a time.

    A text has one right image. Of an image's texts the best one counts (the protocol of Flickr30k and COCO with five
    captions an image). Ties count against the model, see `best_ranks`. The intervals take texts of one image for
    independent, and so are somewhat narrow.

    Args:
        scores: `[N, M]` of N texts and M images, higher is better.
        owners: The image that each text belongs to, int `[N]`.
        ks: Numbers of candidates looked at.
        rows_per_chunk: Texts whose scores are in memory at once; does not change the result.

    Returns:
        Shares `recall_at_1`, ... for "text_to_image" and for "image_to_text".

    Raises:
        ValueError: See `text_to_image_ranks` and `image_to_text_ranks`; or if a k is below 1.
    """
    check_ks(ks)
    ranks = {
        "text_to_image": text_to_image_ranks(scores, owners, rows_per_chunk=rows_per_chunk),
        "image_to_text": image_to_text_ranks(scores, owners, rows_per_chunk=rows_per_chunk),
    }
    return {direction: {f"recall_at_{k}": share_of(found <= k) for k in ks} for direction, found in ranks.items()}


def text_to_image_ranks(scores: ScoreMatrix, owners: ArrayLike, *, rows_per_chunk: int = 1024) -> np.ndarray:
    """Rank of each text's image among all images; images without a text are candidates too.

    Args:
        scores: `[N, M]` of N texts and M images, higher is better.
        owners: The image that each text belongs to, int `[N]`.
        rows_per_chunk: Texts whose scores are in memory at once.

    Returns:
        int64 `[N]`, from 1; ties count against the model, see `best_ranks`.

    Raises:
        ValueError: If a shape is wrong, a score is not a number, or a text belongs to no image.
    """
    images = np.arange(scores.shape[1])
    parts = [best_ranks(chunk, own[:, None] == images) for chunk, own in _row_chunks(scores, owners, rows_per_chunk)]
    return np.concatenate(parts)


def image_to_text_ranks(scores: ScoreMatrix, owners: ArrayLike, *, rows_per_chunk: int = 1024) -> np.ndarray:
    """Rank of each image's best text among all texts; reads the scores twice.

    Args:
        scores: `[N, M]` of N texts and M images, higher is better.
        owners: The image that each text belongs to, int `[N]`.
        rows_per_chunk: Texts whose scores are in memory at once.

    Returns:
        int64 `[M]`, from 1; ties count against the model, see `best_ranks`.

    Raises:
        ValueError: If a shape is wrong, a score is not a number, a text belongs to no image, or an image has no text.
    """
    images = np.arange(scores.shape[1])
    textless = np.setdiff1d(images, owners)
    if textless.size:
        raise ValueError(f"{textless.size} images have no text to be found, the first is image {textless[0]}")
    best = np.full(len(images), -np.inf)
    for chunk, own in _row_chunks(scores, owners, rows_per_chunk):
        np.maximum.at(best, own, chunk[np.arange(len(own)), own])
    ranks = np.ones(len(images), dtype=np.int64)
    for chunk, own in _row_chunks(scores, owners, rows_per_chunk):
        ranks += np.count_nonzero((chunk >= best) & (own[:, None] != images), axis=0)
    return ranks


def _row_chunks(
    scores: ScoreMatrix, owners: ArrayLike, rows_per_chunk: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Checked scores `[n, M]` of some texts, and the images `[n]` they belong to."""
    owners = np.asarray(owners)
    if len(scores.shape) != 2 or owners.shape != (scores.shape[0],) or not owners.size:
        raise ValueError(
            "scores must have shape [texts, images] and owners [texts], with one text at least, got "
            f"{list(scores.shape)} and {list(owners.shape)}"
        )
    if not np.issubdtype(owners.dtype, np.integer):
        raise ValueError(f"owners must be whole numbers, the images that texts belong to, got {owners.dtype}")
    strays = np.flatnonzero((owners < 0) | (owners >= scores.shape[1]))
    if strays.size:
        raise ValueError(
            f"text {strays[0]} belongs to image {owners[strays[0]]}, but there are only {scores.shape[1]} images"
        )
    if rows_per_chunk < 1:
        raise ValueError(f"rows_per_chunk must be at least 1, got {rows_per_chunk}")
    for start in range(0, len(owners), rows_per_chunk):
        chunk = np.asarray(scores[start : start + rows_per_chunk])
        lost = np.argwhere(np.isnan(chunk))
        if lost.size:
            raise ValueError(f"the score of text {start + lost[0, 0]} and image {lost[0, 1]} is not a number")
        yield chunk, owners[start : start + rows_per_chunk]


def check_ks(ks: Sequence[int]) -> None:
    """Refuse `ks` below 1, for which recall has no meaning."""
    if any(k < 1 for k in ks):
        raise ValueError(f"every k must be at least 1, got {list(ks)}")
