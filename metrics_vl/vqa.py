"""Accuracy of answers to visual questions, each weighed against the answers of several humans (VQA v2)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypedDict, TypeVar

from .example_ids import check_texts, paired
from .shares import Share, share_of, shares_by
from .vqa_scores import Variant, answer_score, count_answers, normalize_answer, on_one_line

Id = TypeVar("Id", bound=Hashable)


class VqaReference(TypedDict):
    """What is known of one question; a record of the task's table has these columns.

    Attributes:
        answers: Of the humans, ten in VQA v2.
        answer_type: "yes/no", "number" or "other".
        question_type: The words the question begins with.
    """

    answers: Sequence[str]
    answer_type: str | None
    question_type: str | None


class VqaScores(TypedDict):
    """Result of `score_vqa`.

    Attributes:
        accuracy: Mean score of all questions.
        per_answer_type: Mean score of the questions of each type.
        per_question_type: Likewise.
        variant: The formula of the score.
    """

    accuracy: Share
    per_answer_type: dict[str, Share]
    per_question_type: dict[str, Share]
    variant: Variant


def score_vqa(
    predictions: Mapping[Id, str], references: Mapping[Id, VqaReference], variant: Variant = "official"
) -> VqaScores:
    """VQA accuracy as in the official `vqaEval.py` of GT-Vision-Lab/VQA, or with another soft score.

    Args:
        predictions: One answer a question, by example id.
        references: The humans' answers, by example id.
        variant: Which soft score, see `vqa_scores.answer_score`; only "official" compares with published numbers.

    Returns:
        Accuracy, of all questions and of each type; the official script prints it rounded, in percent.

    Raises:
        ValueError: If ids are missing or too many, or a question has fewer than two answers.
        TypeError: If a prediction is no text, or the answers to a question are one string.
    """
    check_texts(predictions)
    rows = paired(predictions, references)
    scores = []
    for name, prediction, reference in rows:
        if not reference["answers"]:
            raise ValueError(f"question {name!r} has no answers, as in a test split: nothing to score against")
        scores.append(score_answer(prediction, reference["answers"], variant))
    return {
        "accuracy": share_of(scores),
        "per_answer_type": shares_by([reference["answer_type"] for *_, reference in rows], scores),
        "per_question_type": shares_by([reference["question_type"] for *_, reference in rows], scores),
        "variant": variant,
    }


def score_answer(prediction: str, answers: Sequence[str], variant: Variant = "official") -> float:
    """Soft score of one answer.

    As in the official script, answers are normalised only where the humans disagree. Where all gave the same one, the
    prediction must be the same to the letter, but for spaces around it.

    Args:
        prediction: The answer to score.
        answers: Of the humans.
        variant: Which soft score.

    Returns:
        A score in [0, 1].

    Raises:
        TypeError: If `answers` is one string.
        ValueError: If there are fewer than two answers.
    """
    counts = count_answers(answers, on_one_line)
    form = on_one_line
    if len(counts) > 1:
        form = normalize_answer
        counts = count_answers(answers, form)
    return answer_score(counts[form(prediction)], len(answers), variant)
