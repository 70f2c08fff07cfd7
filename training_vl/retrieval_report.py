"""What came out of scoring a split: recalls beside their control and chance, and the best images of each caption."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from datasets_vl.tasks.caption_retrieval import RetrievalSplit
from metrics_vl.recall import ScoreMatrix, chance_recall_at_k, score_retrieval

from .exchanged_images import ExchangedImages

Table = dict[str, dict[str, float]]
"""Scores by name, then by column: "model", "exchanged" (the control) and "chance"."""

RECALLS = (1, 5, 10)

DIRECTIONS = {"text_to_image": "caption to image", "image_to_text": "image to caption"}
BEST = 10


def measure_recalls(scores: ScoreMatrix, split: RetrievalSplit, *, seed: int = 0) -> Table:
    """Recalls in both directions with their 95 % intervals, the control and chance, a part of the scores at a time.

    Args:
        scores: `[N, M]`.
        split: What was scored.
        seed: Of the exchange of images in the control.

    Returns:
        Rows "caption to image R@1", ..., "image to caption R@10"; columns "model", "low", "high", "exchanged" and
        "chance", shares in [0, 1].
    """
    model = score_retrieval(scores, split.owners, RECALLS)
    control = score_retrieval(ExchangedImages(scores, seed), split.owners, RECALLS)
    num_texts, num_images = len(split.indices), len(split.image_ids)
    chances = {
        "text_to_image": _chances(np.ones(num_texts, dtype=np.int64), num_images),
        "image_to_text": _chances(np.bincount(split.owners, minlength=num_images), num_texts),
    }
    return {
        f"{label} R@{k}": {
            "model": (share := model[direction][f"recall_at_{k}"]).value,
            "low": share.low,
            "high": share.high,
            "exchanged": control[direction][f"recall_at_{k}"].value,
            "chance": chances[direction][k],
        }
        for direction, label in DIRECTIONS.items()
        for k in RECALLS
    }


def _chances(right: np.ndarray, candidates: int) -> dict[int, float]:
    """Recalls of a random order, for queries with so many right ones (int64 `[Q]`) among the `candidates`."""
    total = dict.fromkeys(RECALLS, 0.0)
    for number, queries in zip(*np.unique(right, return_counts=True), strict=True):
        chances = chance_recall_at_k([np.arange(candidates) < number], RECALLS)
        total = {k: total[k] + chances[k] * queries / len(right) for k in RECALLS}
    return total


def write_rankings(path: Path, scores: ScoreMatrix, split: RetrievalSplit) -> None:
    """Write the best images of each caption, a JSON object a line: `caption`, `image_id`, `rank`, `images`, `scores`.

    Args:
        path: The file.
        scores: `[N, M]`.
        split: What was scored.
    """
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, len(split.indices), 1024):
            rows = slice(start, min(start + 1024, len(split.indices)))
            for text, owner, row in zip(split.texts(rows), split.owners[rows], np.asarray(scores[rows]), strict=True):
                best = np.argsort(-row, kind="stable")[:BEST]
                entry = {
                    "caption": text,
                    "image_id": split.image_ids[owner],
                    "rank": int(np.count_nonzero(row >= row[owner])),
                    "images": [split.image_ids[image] for image in best],
                    "scores": [round(float(row[image]), 4) for image in best],
                }
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def print_recalls(table: Table, split: RetrievalSplit) -> None:
    """Print `table` of `split` for people."""
    print(f"{len(split.indices)} captions, {len(split.image_ids)} images")
    for name, row in table.items():
        print(
            f"{name:22} {row['model']:7.1%}  ({row['low']:.1%} to {row['high']:.1%})   images exchanged "
            f"{row['exchanged']:.1%}   chance {row['chance']:.1%}"
        )
