"""Visual commonsense reasoning: the answer, the rationale, and both at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from numbers import Integral
from typing import TypedDict, TypeVar

from .example_ids import paired
from .shares import Share, share_of

Id = TypeVar("Id", bound=Hashable)


class VcrChoice(TypedDict):
    """What was chosen for one question.

    Attributes:
        answer: Number of the chosen answer.
        rationale: Number of the chosen rationale, given the right answer.
    """

    answer: int
    rationale: int


class VcrLabels(TypedDict):
    """What is right for one question; a record of the task's table has these columns.

    Attributes:
        answer_label: Number of the right answer.
        rationale_label: Number of the right rationale.
    """

    answer_label: int
    rationale_label: int


class VcrScores(TypedDict):
    """Result of `score_vcr`.

    Attributes:
        answer: Q→A.
        rationale: QA→R.
        answer_and_rationale: Q→AR.
    """

    answer: Share
    rationale: Share
    answer_and_rationale: Share


def score_vcr(predictions: Mapping[Id, VcrChoice], references: Mapping[Id, VcrLabels]) -> VcrScores:
    """Accuracy of answers, of rationales given the right answer, and of both (`eval_q2ar.py` of rowanz/r2c).

    Q→AR is the share of questions with both right. It is no product of the other two: who reads a scene well tends to
    get both.

    Args:
        predictions: Choices by example id.
        references: Labels by example id.

    Returns:
        The three accuracies.

    Raises:
        ValueError: If ids are missing or too many, or an example has no label.
        TypeError: If a choice is not a whole number, such as a list of scores.
    """
    answers, rationales = [], []
    for name, chosen, right in paired(predictions, references):
        for hits, part in ((answers, "answer"), (rationales, "rationale")):
            label = right[f"{part}_label"]
            if label is None:
                raise ValueError(f"example {name!r} has no {part} label, as in a test split")
            hits.append(_choice(chosen[part], name, part) == label)
    return {
        "answer": share_of(answers),
        "rationale": share_of(rationales),
        "answer_and_rationale": share_of(map(all, zip(answers, rationales, strict=True))),
    }


def _choice(value: object, name: Hashable, part: str) -> int:
    if not isinstance(value, Integral):
        raise TypeError(f"the {part} chosen for example {name!r} must be its number, got {value!r}")
    return int(value)
