"""Finding the box that words mean: referring expressions (RefCOCO, +, g) and phrases (Flickr30k Entities).

A proposal matches a box by their intersection over union. What proposals there are bounds every score, so scores from
different detectors do not compare; therefore the source of the proposals is part of every result, with the upper bound
that it sets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike

from processing_vl.boxes_vl import pairwise_iou

from .example_ids import paired
from .recall import best_ranks, check_ks
from .shares import Share, share_of

Id = TypeVar("Id", bound=Hashable)

BoxProtocol = Literal["any_box", "merged_box"]
"""When a phrase has several boxes, a proposal must match any of them, or the smallest box around all of them."""

THRESHOLD = 0.5


class ScoredBoxes(TypedDict):
    """Proposals in an image, and how well each fits.

    Attributes:
        boxes: Corners x1 y1 x2 y2 in pixels, `[R, 4]`; without padding. R may be 0 where a detector found nothing.
        scores: `[R]` for a referring expression, `[P, R]` for the P phrases of a sentence; higher is better.
    """

    boxes: ArrayLike
    scores: ArrayLike


class Phrase(TypedDict):
    """What is known of one phrase; an entry of `phrases` in a record of the task's table has these fields.

    Attributes:
        boxes: Corners x1 y1 x2 y2 in pixels, `[N, 4]`; empty where the phrase names nothing that can be boxed.
        types: "people", "clothing", ...; a phrase counts under each of its types.
    """

    boxes: ArrayLike
    types: Sequence[str]


class ReferringScores(TypedDict):
    """Result of `score_referring`.

    Attributes:
        accuracy: Share of expressions whose best-scored proposal matches.
        upper_bound: Share of expressions that any proposal matches.
        proposals: Where the proposals come from.
        plus_one: Whether boxes are one pixel wider than the difference of their corners.
    """

    accuracy: Share
    upper_bound: Share
    proposals: str
    plus_one: bool


def score_referring(
    predictions: Mapping[Id, ScoredBoxes],
    references: Mapping[Id, ArrayLike],
    *,
    proposals: str,
    plus_one: bool = True,
) -> ReferringScores:
    """Share of referring expressions whose best-scored proposal has an IoU above 0.5 with the box that is meant.

    Exactly 0.5 is a miss. A tie for the best score counts against the model, as in `recall.best_ranks`.

    Args:
        predictions: Proposals and their scores, by example id.
        references: Boxes x1 y1 x2 y2 in pixels, by example id.
        proposals: Where the boxes come from, for example "MAttNet detections" or "ground truth"; part of the result.
        plus_one: Whether a box covers the pixels of both its corners, as in vilbert-multi-task and VOLTA.

    Returns:
        Accuracy and its upper bound, with both settings.

    Raises:
        ValueError: If ids are missing or too many, `proposals` is empty, or boxes or scores are malformed.
    """
    _check_source(proposals)
    ranks = []
    for name, prediction, box in paired(predictions, references):
        boxes, scores = _checked_proposals(name, prediction, 1)
        if np.shape(box) != (4,):
            raise ValueError(f"example {name!r} must refer to one box x1 y1 x2 y2, got {box!r}")
        target = _checked_boxes(name, [box], "the reference")
        overlaps = pairwise_iou(boxes, target, plus_one=plus_one)
        ranks.append(_rank(scores, overlaps[:, 0] > THRESHOLD))
    return {
        "accuracy": share_of(rank == 1 for rank in ranks),
        "upper_bound": share_of(rank < np.inf for rank in ranks),
        "proposals": proposals,
        "plus_one": plus_one,
    }


def score_phrases(
    predictions: Mapping[Id, ScoredBoxes],
    references: Mapping[Id, Sequence[Phrase]],
    *,
    proposals: str,
    protocol: BoxProtocol = "any_box",
    ks: Sequence[int] = (1, 5, 10),
    plus_one: bool = False,
) -> dict[str, Any]:
    """Share of phrases with a matching proposal among their k best, where matching is an IoU of 0.5 or more.

    The defaults are those of VisualBERT and BAN. Phrases without a box do not count. Ties count against the model, as
    in `recall.best_ranks`.

    Args:
        predictions: Proposals of each sentence's image with a row of scores for each of its phrases, by example id.
        references: The phrases of each sentence, by example id, in the same order as the rows.
        proposals: Where the boxes come from, for example "Faster R-CNN, 100 boxes"; part of the result.
        protocol: What matches where a phrase has several boxes.
        ks: Numbers of proposals looked at.
        plus_one: Whether a box covers the pixels of both its corners.

    Returns:
        Shares `recall_at_1`, ... and `upper_bound` (any proposal matches); the same by phrase type in `per_type`; and
        the settings `proposals`, `protocol` and `plus_one`.

    Raises:
        ValueError: If ids are missing or too many, `proposals` is empty, the protocol is unknown, a k is below 1, no
            phrase has a box, or boxes, scores or their numbers are wrong.
    """
    _check_source(proposals)
    check_ks(ks)
    if protocol not in get_args(BoxProtocol):
        raise ValueError(f"protocol must be one of {', '.join(get_args(BoxProtocol))}, got {protocol!r}")
    ranks: list[float] = []
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    for name, prediction, phrases in paired(predictions, references):
        boxes, scores = _checked_proposals(name, prediction, 2)
        if len(scores) != len(phrases):
            raise ValueError(f"example {name!r} has {len(phrases)} phrases, but scores for {len(scores)}")
        for phrase, row in zip(phrases, scores, strict=True):
            targets = _checked_boxes(name, phrase["boxes"], "a phrase")
            if not len(targets):
                continue
            if protocol == "merged_box":
                targets = np.concatenate([targets[:, :2].min(axis=0), targets[:, 2:].max(axis=0)])[None]
            overlaps = pairwise_iou(boxes, targets, plus_one=plus_one)
            rank = _rank(row, (overlaps >= THRESHOLD).any(axis=1))
            ranks.append(rank)
            for kind in set(phrase["types"]):
                by_type[kind].append(rank)
    if not ranks:
        raise ValueError("no phrase has a box: there is nothing to score")
    return {
        **_recalls(ranks, ks),
        "per_type": {kind: _recalls(by_type[kind], ks) for kind in sorted(by_type)},
        "proposals": proposals,
        "protocol": protocol,
        "plus_one": plus_one,
    }


def _recalls(ranks: Sequence[float], ks: Sequence[int]) -> dict[str, Share]:
    shares = {f"recall_at_{k}": share_of(rank <= k for rank in ranks) for k in ks}
    return shares | {"upper_bound": share_of(rank < np.inf for rank in ranks)}


def _rank(scores: np.ndarray, matches: np.ndarray) -> float:
    """Rank of the best matching proposal, from 1; infinite where none matches."""
    return float(best_ranks(scores[None], matches[None])[0]) if matches.any() else np.inf


def _check_source(proposals: str) -> None:
    if not proposals.strip():
        raise ValueError(
            "proposals must say where the boxes come from: scores from different proposals do not compare"
        )


def _checked_proposals(name: Hashable, prediction: ScoredBoxes, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `[R, 4]` and their scores, with so many axes."""
    boxes = _checked_boxes(name, prediction["boxes"], "the proposals")
    scores = np.asarray(prediction["scores"], dtype=np.float64)
    if axes == 2 and scores.shape == (0,):  # a sentence without phrases
        scores = scores.reshape(0, len(boxes))
    if scores.ndim != axes or scores.shape[-1] != len(boxes):
        expected = f"[{len(boxes)}]" if axes == 1 else f"[phrases, {len(boxes)}]"
        raise ValueError(f"the scores of example {name!r} must have shape {expected}, got {list(scores.shape)}")
    if np.isnan(scores).any():
        raise ValueError(f"example {name!r} has a score that is not a number")
    return boxes, scores


def _checked_boxes(name: Hashable, boxes: ArrayLike, whose: str) -> np.ndarray:
    boxes = np.asarray(boxes, dtype=np.float64)
    if not boxes.size:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes of {whose} of example {name!r} must have shape [N, 4], got {list(boxes.shape)}")
    if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
        raise ValueError(
            f"a box of {whose} of example {name!r} is not x1 y1 x2 y2 with x2 >= x1 and y2 >= y1 "
            "(was it given as x y width height?)"
        )
    return boxes
