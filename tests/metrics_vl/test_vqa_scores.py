"""Normalisation of answers against the official script, and the three soft scores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.vqa_scores import CONTRACTIONS, answer_score, normalize_answer, soft_scores

OFFICIAL_FORMS = {
    "": "",
    "The": "",
    "A man, a plan": "man plan",
    "Yes.": "yes",
    "two": "2",
    "none": "0",
    "eleven": "eleven",
    "TEN ducks": "10 ducks",
    "1,000": "1000",
    "1,000 or two-three": "1000 or twothree",
    "black/white": "black white",
    "black / white": "black white",
    "black-and -white": "blackand white",
    "t-shirt": "t shirt",
    "t-shirt and tie": "t shirt and tie",
    "2.5 m.": "2.5 m",
    "U.S.A.": "usa",
    "3.": "3",
    "...": "",
    "." * 40: "." * 8,
    "5'7\"": "5'7",
    "what?!": "what",
    "dont": "don't",
    "DONT": "don't",
    "couldnt've": "couldn't've",
    "somebody'd": "somebodyd",
    "Im": "im",
    "weve a lets": "we've lets",
    "line\nbreak\tand tab ": "line break and tab",
    " (a) [b] ": "b",
    "one.five": "onefive",
    "$5": "$5",
}
"""What vqaEval.py of GT-Vision-Lab/VQA makes of these answers, recorded from the script itself."""


@pytest.mark.parametrize(("answer", "official"), OFFICIAL_FORMS.items())
def test_answers_take_the_official_form(answer: str, official: str) -> None:
    assert normalize_answer(answer) == official


def test_contractions_are_those_of_the_official_table() -> None:
    """The official table has 120 entries: 4 with a capital letter are never reached, 2 change nothing."""
    assert len(CONTRACTIONS) == 114
    assert CONTRACTIONS["ow's'at"] == CONTRACTIONS["'ows'at"] == CONTRACTIONS["'ow'sat"] == "'ow's'at"
    assert CONTRACTIONS["yall'd've"] == CONTRACTIONS["y'alld've"] == CONTRACTIONS["y'all'dve"] == "y'all'd've"
    assert not {"ill", "well", "were", "id", "its", "shell", "hell", "shed"} & CONTRACTIONS.keys()


@given(st.text(max_size=30))
def test_normal_forms_have_single_spaces_and_no_articles(answer: str) -> None:
    words = normalize_answer(answer).split(" ")
    assert words == [""] or all(words)
    assert not {"a", "an", "the", "two"} & set(words)


@pytest.mark.parametrize(
    ("variant", "scores"),
    [
        ("official", [0, 0.3, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1]),
        ("closed_form", [0, 0.3, 0.6, 0.9, 1, 1, 1, 1, 1, 1, 1]),
        ("simple", [0, 1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_scores_by_number_of_ten_humans(variant: str, scores: list[float]) -> None:
    assert [answer_score(matches, 10, variant) for matches in range(11)] == pytest.approx(scores)


@given(st.integers(2, 15).flatmap(lambda humans: st.tuples(st.integers(0, humans), st.just(humans))))
def test_official_score_is_the_mean_over_the_humans_left_out(case: tuple[int, int]) -> None:
    """By counting, as the definition says: each human in turn is left out."""
    matches, humans = case
    agrees = [True] * matches + [False] * (humans - matches)
    left_out = [min(1, sum(agrees[:h] + agrees[h + 1 :]) / 3) for h in range(humans)]
    assert answer_score(matches, humans) == pytest.approx(sum(left_out) / humans)


def test_soft_scores_of_answers_that_differ_only_in_form() -> None:
    answers = ["Two", "2", "the 2.", "three", "3", "dont know"] + ["many"] * 4
    assert soft_scores(answers) == pytest.approx({"2": 0.9, "3": 0.6, "don't know": 0.3, "many": 1.0})
    assert soft_scores(answers, "simple") == pytest.approx({"2": 1, "3": 2 / 3, "don't know": 1 / 3, "many": 1})


@given(st.lists(st.sampled_from(["red", "Red", "the red", "blue", "green.", ""]), min_size=10, max_size=10))
def test_closed_form_is_the_official_score_of_ten_humans(answers: list[str]) -> None:
    assert soft_scores(answers, "closed_form") == pytest.approx(soft_scores(answers, "official"))


@pytest.mark.parametrize(
    ("answers", "variant", "error", "message"),
    [
        (["red"], "official", ValueError, "several humans, got 1; for one right answer use exact match"),
        (["red", "red"], "leave_one_out", ValueError, "official, closed_form, simple, got 'leave_one_out'"),
        ("red", "official", TypeError, "one answer a human, got the string 'red'"),
    ],
)
def test_answers_without_a_score_are_refused(
    answers: object, variant: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        soft_scores(answers, variant)


@pytest.mark.parametrize("matches", [-1, 11])
def test_matches_beyond_the_humans_are_refused(matches: int) -> None:
    with pytest.raises(ValueError, match=f"between 0 and the 10 humans, got {matches}"):
        answer_score(matches, 10)
