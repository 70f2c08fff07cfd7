"""How much an answer to a visual question is worth, given the answers of several humans."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, get_args

Variant = Literal["official", "closed_form", "simple"]
"""The three soft scores in circulation; `answer_score` defines them."""

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(NUMBERS)}
ARTICLES = {"a", "an", "the"}

CONTRACTED_ENDINGS = {
    "n't": "ai are ca could did does do had has have is might must need ought sha should was were wo would",
    "'ve": "could might must not should they we what where who would you",
    "'d": "he how it someone something there they where who you",
    "'ll": "how it somebody someone something they what who why you",
    "'s": "he how somebody someone that there what when where who why",
    "'re": "there they what why you",
    "n't've": "could had might should would",
    "'d've": "he it she somebody someone something there they we who you y'all",
}
CONTRACTED_WORDS = "ma'am o'clock 'ow's'at 'twas y'all y'all'll"


def _contractions() -> dict[str, str]:
    """Contracted words by their misspellings: each lacks one apostrophe."""
    words = CONTRACTED_WORDS.split()
    words += [stem + ending for ending, stems in CONTRACTED_ENDINGS.items() for stem in stems.split()]
    misspelt = {
        word[:place] + word[place + 1 :]: word for word in words for place, letter in enumerate(word) if letter == "'"
    }
    return misspelt | {"somebody'd": "somebodyd"}  # the official table has this one the wrong way round


CONTRACTIONS = _contractions()
DIGIT_GROUPS = re.compile(r"\d,\d")
LONE_PERIOD = re.compile(r"\.(?!\d)")
MAX_PERIODS = 32
"""The official script removes at most this many: it passes `re.UNICODE` where a count is expected."""


def normalize_answer(text: str) -> str:
    """Bring an answer into the form in which VQA v2 compares answers.

    The official rules (`vqaEval.py` of GT-Vision-Lab/VQA), oddities included: punctuation that stands next to a space
    anywhere in the answer, or any punctuation when the answer has a number such as 1,000, is taken out, and otherwise
    becomes a space; so do hyphens. Periods go unless a digit follows. Then lower case, number words up to ten as
    digits ("none" is 0), no articles, and the missing apostrophe of contractions put back.

    Args:
        text: As a human or a model gave it.

    Returns:
        The answer in lower case with single spaces; empty if it held only punctuation and articles.
    """
    text = clean = on_one_line(text)
    groups_digits = DIGIT_GROUPS.search(text) is not None
    for mark in PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        clean = clean.replace(mark, "" if beside_space or groups_digits else " ")
    clean = LONE_PERIOD.sub("", clean, count=MAX_PERIODS)
    words = (DIGITS.get(word, word) for word in clean.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def answer_score(matches: int, humans: int, variant: Variant = "official") -> float:
    """Soft score of an answer that `matches` of the `humans` gave.

    | variant | formula | 1, 2, 3, 4 or more of 10 | used by |
    | --- | --- | --- | --- |
    | `official` | mean over the humans h of min(1, matches among the others than h / 3) | .3 .6 .9 1 | VQA, MMF |
    | `closed_form` | min(1, 0.3 matches) | .3 .6 .9 1 | uclanlp/visualbert, bottom-up attention's targets |
    | `simple` | min(1, matches / 3) | .33 .67 1 1 | AllenNLP |

    Args:
        matches: Humans who gave this answer.
        humans: Humans asked, 10 in VQA; only `official` depends on it.
        variant: Which formula.

    Returns:
        A score in [0, 1].

    Raises:
        ValueError: If the variant is unknown, there are fewer than two humans (a question with one right answer needs
            no soft score), or `matches` does not lie between 0 and `humans`.
    """
    if variant not in get_args(Variant):
        raise ValueError(f"variant must be one of {', '.join(get_args(Variant))}, got {variant!r}")
    if humans < 2:
        raise ValueError(
            f"soft scores weigh the answers of several humans, got {humans}; for one right answer use exact match"
        )
    if not 0 <= matches <= humans:
        raise ValueError(f"matches must lie between 0 and the {humans} humans, got {matches}")
    if variant == "closed_form":
        return min(1.0, 3 * matches / 10)
    if variant == "simple":
        return min(1.0, matches / 3)
    left_out_agrees = matches * min(1.0, (matches - 1) / 3)
    left_out_differs = (humans - matches) * min(1.0, matches / 3)
    return (left_out_agrees + left_out_differs) / humans


def soft_scores(answers: Sequence[str], variant: Variant = "official") -> dict[str, float]:
    """Scores of all answers that humans gave to a question, as targets for training.

    Answers are always normalised here, so that one vocabulary serves all questions. The official evaluation does not
    do so when all humans agree; `metrics_vl.vqa.score_vqa` follows it.

    Args:
        answers: Of the humans, ten in VQA v2.
        variant: Which formula, see `answer_score`.

    Returns:
        Scores in (0, 1] by normalised answer, in the order of first appearance.

    Raises:
        TypeError: If `answers` is one string.
        ValueError: See `answer_score`.
    """
    return {
        answer: answer_score(matches, len(answers), variant)
        for answer, matches in count_answers(answers, normalize_answer).items()
    }


def count_answers(answers: Sequence[str], form: Callable[[str], str]) -> Counter[str]:
    """How many humans gave each answer.

    Args:
        answers: Of the humans.
        form: Brings an answer into the form in which answers are compared.

    Returns:
        Counts by answer in that form.

    Raises:
        TypeError: If `answers` is one string, whose letters would be counted.
    """
    if isinstance(answers, str):
        raise TypeError(f"answers must be a list with one answer a human, got the string {answers!r}")
    return Counter(map(form, answers))


def on_one_line(text: str) -> str:
    """The answer `text` with line breaks and tabs as spaces, and none around it."""
    return text.replace("\n", " ").replace("\t", " ").strip()
