"""GQA: exact match, and the official extra measures that questions and answers alone allow.

Those are consistency and distribution. Validity and plausibility need the lists of possible answers that come with the
official script, and grounding needs the scene graphs and an attention map; they are not computed here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any, TypedDict

from .example_ids import check_same_ids, check_texts, named, paired
from .shares import Share, share_of, shares_by

FORMS = {"query": "open", "verify": "binary", "logical": "binary", "choose": "binary", "compare": "binary"}
"""How a question of each structural type is answered."""


class GqaReference(TypedDict):
    """What is known of one question; a record of the task's table has these columns.

    Attributes:
        answers: The right answer, alone.
        question_type: The structural type: "query", "verify", "logical", "choose" or "compare".
        answer_type: The semantic type: "obj", "attr", "cat", "rel" or "global".
    """

    answers: Sequence[str]
    question_type: str | None
    answer_type: str | None


class GqaScores(TypedDict):
    """Result of `score_gqa`.

    Attributes:
        accuracy: Of all questions.
        per_form: Of "open" and of "binary" questions.
        per_question_type: Of each structural type.
        per_answer_type: Of each semantic type.
    """

    accuracy: Share
    per_form: dict[str, Share]
    per_question_type: dict[str, Share]
    per_answer_type: dict[str, Share]


def score_gqa(predictions: Mapping[str, str], references: Mapping[str, GqaReference]) -> GqaScores:
    """Share of questions answered to the letter, as in GQA's official `eval.py`.

    The official number is that of the balanced questions.

    Args:
        predictions: One answer a question, by question id.
        references: The right answers, by question id.

    Returns:
        Accuracy, of all questions and of each type.

    Raises:
        ValueError: If ids are missing or too many, or a question has no or several answers.
        TypeError: If a prediction is no text.
    """
    check_texts(predictions)
    rows = paired(predictions, references)
    for name, _, reference in rows:
        if isinstance(reference["answers"], str) or len(reference["answers"]) != 1:
            raise ValueError(f"question {name!r} must have a list with one answer, got {reference['answers']!r}")
    hits = [prediction == reference["answers"][0] for _, prediction, reference in rows]
    return {
        "accuracy": share_of(hits),
        "per_form": shares_by([FORMS.get(reference["question_type"]) for *_, reference in rows], hits),
        "per_question_type": shares_by([reference["question_type"] for *_, reference in rows], hits),
        "per_answer_type": shares_by([reference["answer_type"] for *_, reference in rows], hits),
    }


def gqa_consistency(predictions: Mapping[str, str], questions: Mapping[str, Mapping[str, Any]]) -> Share:
    """How often a model that is right also answers what follows from that answer.

    For every balanced question that is answered correctly: accuracy over the other questions it entails; the mean over
    those that entail any.

    Args:
        predictions: Answers by question id, of the balanced questions and those they entail at least.
        questions: The official file of all questions (not only of balanced ones): by id, `answer`, `isBalanced` and
            `entailed`.

    Returns:
        The mean. Where no such question is answered correctly it is 0, as in the official script, of count 0.

    Raises:
        ValueError: If the questions hold none that entails another, an entailed question is not among them, or
            predictions are missing or belong to no question.
    """
    entailed = {
        name: [other for other in question["entailed"] if other != name]
        for name, question in _balanced(questions).items()
    }
    lost = [other for others in entailed.values() for other in others if other not in questions]
    if lost:
        raise ValueError(
            f"{len(lost)} entailed questions are not among the questions, the file of all questions is needed: "
            f"{named(lost)}"
        )
    if not any(entailed.values()):
        raise ValueError("no balanced question entails another one: consistency is not defined for these questions")
    needed = entailed.keys() | {other for others in entailed.values() for other in others}
    _check_predictions(predictions, needed, questions)
    right = {name: predictions[name] == questions[name]["answer"] for name in needed}
    scores = [
        sum(right[other] for other in others) / len(others)
        for name, others in entailed.items()
        if others and right[name]
    ]
    return share_of(scores) if scores else Share(0.0, 0.0, 1.0, 0)


def gqa_distribution(predictions: Mapping[str, str], questions: Mapping[str, Mapping[str, Any]]) -> float:
    """How far the predicted answers to questions of one group are distributed from the right ones; lower is better.

    The chi-square statistic of each group (`groups.global`) over its right answers, weighted by the group's size and
    divided by 100 as in the official script. Answers that are never right in a group do not count.

    Args:
        predictions: Answers by question id, of the balanced questions.
        questions: The official file of questions: by id, `answer`, `isBalanced` and `groups`.

    Returns:
        At least 0, which it is where both distributions are the same.

    Raises:
        ValueError: If predictions are missing or belong to no question, or no balanced question has a group.
    """
    balanced = _balanced(questions)
    _check_predictions(predictions, balanced.keys(), questions)
    expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
    observed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, question in balanced.items():
        group = question["groups"]["global"]
        if group is not None:
            expected[group][question["answer"]] += 1
            observed[group][predictions[name]] += 1
    if not expected:
        raise ValueError("no balanced question belongs to a group: the distribution of answers is not defined")
    weighted = sum(
        answers.total() * sum((observed[group][answer] - count) ** 2 / count for answer, count in answers.items())
        for group, answers in expected.items()
    )
    return weighted / sum(answers.total() for answers in expected.values()) / 100


def _check_predictions(
    predictions: Mapping[str, str], needed: Set[str], questions: Mapping[str, Mapping[str, Any]]
) -> None:
    """All needed questions must be predicted, and others may be."""
    check_texts(predictions)
    expected = [name for name in questions if name in needed or name in predictions]
    check_same_ids(predictions, dict.fromkeys(expected), "predictions")


def _balanced(questions: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name: question for name, question in questions.items() if question["isBalanced"]}
