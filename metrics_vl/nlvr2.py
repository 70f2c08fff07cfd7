"""NLVR2: accuracy, and how often a sentence is understood in all its image pairs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypedDict, TypeVar

from .example_ids import check_same_ids
from .labels import label_hits
from .shares import Share, share_of

Id = TypeVar("Id", bound=Hashable)
LABELS = ("False", "True")


class Nlvr2Scores(TypedDict):
    """Result of `score_nlvr2`.

    Attributes:
        accuracy: Share of examples that are right.
        consistency: Share of groups of which every example is right.
    """

    accuracy: Share
    consistency: Share


def score_nlvr2(
    predictions: Mapping[Id, str], references: Mapping[Id, str], groups: Mapping[Id, Hashable]
) -> Nlvr2Scores:
    """Accuracy and consistency as in the official `metrics.py` of lil-lab/nlvr.

    Args:
        predictions: "True" or "False" by example id.
        references: The labels, likewise.
        groups: What is judged together, by example id: the same sentence of the same set of images. Of an identifier
            split-set-pair-sentence that is all but the pair.

    Returns:
        Accuracy over examples and consistency over groups.

    Raises:
        ValueError: If ids are missing or too many, or a label is neither "True" nor "False".
    """
    hits = label_hits(predictions, references, LABELS)
    check_same_ids(groups, references, "groups")
    consistent: dict[Hashable, bool] = {}
    for name, hit in hits.items():
        consistent[groups[name]] = consistent.get(groups[name], True) and hit
    return {"accuracy": share_of(hits.values()), "consistency": share_of(consistent.values())}
