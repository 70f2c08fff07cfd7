"""Accuracy of a choice among a few classes: SNLI-VE, NLVR."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypedDict, TypeVar

from .example_ids import named, paired
from .shares import Share, share_of, shares_by

Id = TypeVar("Id", bound=Hashable)

SNLI_VE_LABELS = ("contradiction", "neutral", "entailment")


class LabelScores(TypedDict):
    """Result of `score_labels`.

    Attributes:
        accuracy: Of all examples.
        per_label: Of the examples that bear each label.
    """

    accuracy: Share
    per_label: dict[str, Share]


def score_labels(
    predictions: Mapping[Id, str], references: Mapping[Id, str], labels: Sequence[str] | None = None
) -> LabelScores:
    """Share of examples whose class is right.

    Args:
        predictions: Classes by example id.
        references: Right classes by example id.
        labels: All classes there are; by default those among the right ones.

    Returns:
        Accuracy, of all and of each class.

    Raises:
        ValueError: If ids are missing or too many, or a class is not one of `labels`.
    """
    hits = label_hits(predictions, references, labels)
    return {
        "accuracy": share_of(hits.values()),
        "per_label": shares_by(list(references.values()), list(hits.values())),
    }


def label_hits(
    predictions: Mapping[Id, str], references: Mapping[Id, str], labels: Sequence[str] | None = None
) -> dict[Id, bool]:
    """Which examples are right; arguments and errors are those of `score_labels`.

    Args:
        predictions: Classes by example id.
        references: Right classes by example id.
        labels: All classes there are; by default those among the right ones.

    Returns:
        Whether the predicted class is the right one, by example id, in the order of `references`.
    """
    rows = paired(predictions, references)
    unlabelled = [name for name, _, reference in rows if reference is None]
    if unlabelled:
        raise ValueError(f"{len(unlabelled)} examples have no label, as in a test split: {named(unlabelled)}")
    known = set(references.values() if labels is None else labels)
    for name, *classes in rows:
        for source, label in zip(("prediction", "label"), classes, strict=True):
            if label not in known:
                raise ValueError(
                    f"the {source} of example {name!r} is {label!r}, which is not one of the labels "
                    f"{', '.join(sorted(map(repr, known)))}"
                )
    return {name: prediction == reference for name, prediction, reference in rows}
