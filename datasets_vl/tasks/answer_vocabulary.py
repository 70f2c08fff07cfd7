"""The answers that a question answering model knows: built from a training split, or read from a file."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_vl.safe_pickle import load_pickle
from metrics_vl.vqa_scores import normalize_answer

from .official_files import read_json
from .records import InvalidAnnotation, Record


def main_answer(record: Record) -> str | None:
    """The answer that stands for all answers of a record.

    Args:
        record: Of `question_answering`.

    Returns:
        The record's main answer; where the data set names none, the most frequent one, the first of equals. Where
        several people answered, normalised as in VQA v2; where there is one right answer (GQA), as it is. None without
        answer.
    """
    answers, main = record["answers"], record.get("main_answer")
    if not answers:
        return None
    if len(answers) == 1:
        return answers[0]
    if main is not None:
        return normalize_answer(main)
    return Counter(map(normalize_answer, answers)).most_common(1)[0][0]


def build_vocabulary(counts: Mapping[str, int], *, min_count: int) -> list[str]:
    """Makes the vocabulary of how often each main answer occurs.

    With `min_count=9` over the questions of VQA v2's train and val split together this is the rule of the 3129 answers
    that ViLBERT and VisualBERT know (bottom-up attention's `compute_softscore.py`). The order is our own: frequent
    answers first, equals by the alphabet.

    Args:
        counts: Questions by main answer.
        min_count: Questions an answer must be the main answer of.

    Returns:
        Answers in the order of their numbers.

    Raises:
        ValueError: If no answer is frequent enough.
    """
    chosen = sorted(
        (answer for answer in counts if answer and counts[answer] >= min_count), key=lambda a: (-counts[a], a)
    )
    if not chosen:
        most = max(counts.values(), default=0)
        raise ValueError(
            f"no answer occurs {min_count} times among {sum(counts.values())} questions, the most frequent one {most} "
            "times: ask for fewer with min_count, or give a vocabulary"
        )
    return chosen


def read_vocabulary(path: str | Path) -> list[str]:
    """Reads a vocabulary.

    Args:
        path: `trainval_label2ans.pkl` (a list) or `trainval_ans2label.pkl` (a dictionary to numbers), read without
            executing anything; the same as JSON (`.json`); or a text file with one answer a line.

    Returns:
        Answers in the order of their numbers.

    Raises:
        InvalidAnnotation: If the file holds no vocabulary, or an answer or number comes twice.
    """
    path = Path(path)
    if path.suffix in (".pkl", ".pickle", ".p"):
        try:
            content = load_pickle(path.read_bytes())
        except pickle.UnpicklingError as error:
            raise InvalidAnnotation(path, "", str(error)) from error
    elif path.suffix == ".json":
        content = read_json(path)
    else:
        content = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    answers = _by_number(path, content) if isinstance(content, dict) else content
    if not isinstance(answers, list) or not answers:
        raise InvalidAnnotation(path, "", f"expected a list of answers or their numbers, got {answers!r:.80}")
    first_places: dict[str, int] = {}
    for number, answer in enumerate(answers):
        if not isinstance(answer, str):
            raise InvalidAnnotation(path, f"answer {number}", f"expected a text, got {answer!r:.80}")
        if first_places.setdefault(answer, number) != number:
            raise InvalidAnnotation(path, f"answer {number}", f"{answer!r} is already answer {first_places[answer]}")
    return answers


def _by_number(path: Path, numbers: dict[Any, Any]) -> list[Any]:
    answers = {number: answer for answer, number in numbers.items() if isinstance(number, int)}
    missing = next((number for number in range(len(numbers)) if number not in answers), None)
    if missing is not None:
        raise InvalidAnnotation(
            path, "", f"the {len(numbers)} answers must have the numbers 0 to {len(numbers) - 1}, {missing} is missing"
        )
    return [answers[number] for number in range(len(numbers))]
