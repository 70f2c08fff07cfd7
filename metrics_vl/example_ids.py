"""Predictions and right answers, brought together by the ids of their examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

Id = TypeVar("Id", bound=Hashable)
Value = TypeVar("Value")
Prediction = TypeVar("Prediction")
Reference = TypeVar("Reference")

NAMED_IN_ERRORS = 5


def by_example_id(ids: Iterable[Id], values: Iterable[Value]) -> dict[Id, Value]:
    """Key values by example, each example once.

    Args:
        ids: Of the examples.
        values: One for each id, in the same order.

    Returns:
        Values by id, in the order given.

    Raises:
        ValueError: If an id comes twice (as when several processes pad their last batch), or the numbers of ids and of
            values differ.
    """
    ids, values = list(ids), list(values)
    if len(ids) != len(values):
        raise ValueError(f"there must be one value for each example id, got {len(values)} for {len(ids)} ids")
    keyed = dict(zip(ids, values, strict=True))
    if len(keyed) < len(ids):
        twice = [name for name, times in Counter(ids).items() if times > 1]
        raise ValueError(f"every example counts once, but some come more than once: {named(twice)}")
    return keyed


def paired(
    predictions: Mapping[Id, Prediction], references: Mapping[Id, Reference]
) -> list[tuple[Id, Prediction, Reference]]:
    """Put each prediction beside what is right.

    Args:
        predictions: By example id.
        references: By example id, for the same examples.

    Returns:
        Id, prediction and reference of each example, in the order of `references`.

    Raises:
        ValueError: If an example has only one of the two, or there are no examples.
    """
    if not references:
        raise ValueError("there are no examples to score")
    check_same_ids(predictions, references, "predictions")
    return [(name, predictions[name], reference) for name, reference in references.items()]


def check_same_ids(given: Collection[Id], expected: Collection[Id], what: str) -> None:
    """Refuse ids that are missing or too many.

    Args:
        given: The ids that came, without duplicates.
        expected: The ids that should.
        what: What they belong to, for the error.

    Raises:
        ValueError: If the two differ; names the first ids of both kinds.
    """
    missing = [name for name in expected if name not in given]
    unexpected = [name for name in given if name not in expected]
    if missing or unexpected:
        faults = [f"{len(missing)} are missing: {named(missing)}"] if missing else []
        faults += [f"{len(unexpected)} belong to no example: {named(unexpected)}"] if unexpected else []
        raise ValueError(f"the {what} do not fit the {len(expected)} examples; {'; '.join(faults)}")


def check_texts(predictions: Mapping[Id, str]) -> None:
    """Refuse `predictions` that are no text, which would only ever be wrong.

    Raises:
        TypeError: If there is one; names its example.
    """
    for name, prediction in predictions.items():
        if not isinstance(prediction, str):
            raise TypeError(f"the answer predicted for example {name!r} must be a text, got {prediction!r}")


def named(ids: Iterable[Hashable]) -> str:
    """The first of the `ids` for an error message, as Python writes them (so that 7 and "7" look different)."""
    ids = list(ids)
    more = f" and {len(ids) - NAMED_IN_ERRORS} more" if len(ids) > NAMED_IN_ERRORS else ""
    return ", ".join(map(repr, ids[:NAMED_IN_ERRORS])) + more
