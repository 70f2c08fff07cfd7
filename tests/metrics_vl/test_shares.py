"""Shares and their intervals against published values and against the definition."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.shares import Share, flat, markdown_table, share_of, shares_by, wilson_interval


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_interval_published_by_newcombe(hits: int, count: int, low: float, high: float) -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3."""
    assert np.round(wilson_interval(hits / count, count), 4).tolist() == [low, high]


@given(st.integers(1, 500).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_interval_solves_its_equation(case: tuple[int, int]) -> None:
    """Its ends are the shares p whose distance from the one seen is z times their own standard error."""
    hits, count = case
    seen, z = hits / count, NormalDist().inv_cdf(0.975)
    low, high = wilson_interval(seen, count)
    assert 0 <= low <= seen <= high <= 1
    for end in {low, high} - {0.0, 1.0}:
        assert abs(seen - end) == pytest.approx(z * math.sqrt(end * (1 - end) / count), abs=1e-9)


def test_more_examples_and_less_confidence_make_it_narrower() -> None:
    def width(*arguments: float) -> float:
        low, high = wilson_interval(*arguments)
        return high - low

    assert width(0.7, 989) < width(0.7, 632) < width(0.7, 632, 0.99)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.1, 5), "got 1.1"), ((0.5, 0), "no examples"), ((0.5, 5, 1.0), "got 1.0"), ((math.nan, 5), "got nan")],
)
def test_interval_of_nonsense_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wilson_interval(*arguments)


def test_share_of_hits_and_of_scores() -> None:
    share = share_of([True, False, True, True])
    assert (share.value, share.count) == (0.75, 4)
    assert (share.low, share.high) == wilson_interval(0.75, 4)
    assert share_of(np.array([0.3, 0.9])).value == pytest.approx(0.6)


@given(st.lists(st.sampled_from([0.0, 0.1, 0.3, 1 / 3, 0.6, 0.9, 1.0]), min_size=1), st.randoms())
def test_the_order_of_scores_does_not_matter(scores: list[float], random: object) -> None:
    shuffled = random.sample(scores, len(scores))
    assert share_of(shuffled) == share_of(scores)


@pytest.mark.parametrize(("scores", "message"), [([], "no examples"), ([0.5, 30], "got 30"), ([math.nan], "got nan")])
def test_scores_that_are_no_shares_are_refused(scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        share_of(scores)


def test_shares_of_groups() -> None:
    shares = shares_by(["b", None, "a", "b"], [1, 0, 0.3, 0])
    assert {group: (share.value, share.count) for group, share in shares.items()} == {"a": (0.3, 1), "b": (0.5, 2)}
    assert list(shares) == ["a", "b"]


SCORES = {
    "accuracy": Share(0.5, 0.25, 0.75, 8),
    "per_type": {"people": {"recall_at_1": Share(1.0, 0.5, 1.0, 4)}},
    "proposals": "ground truth",
}


def test_flat_scores() -> None:
    assert flat(SCORES) == {
        "accuracy": 0.5,
        "accuracy_low": 0.25,
        "accuracy_high": 0.75,
        "accuracy_count": 8,
        "per_type.people.recall_at_1": 1.0,
        "per_type.people.recall_at_1_low": 0.5,
        "per_type.people.recall_at_1_high": 1.0,
        "per_type.people.recall_at_1_count": 4,
        "proposals": "ground truth",
    }


def test_table_of_splits_says_where_proposals_come_from() -> None:
    assert markdown_table({"testA": SCORES, "testB": {"upper_bound": Share(1.0, 0.5, 1.0, 4)}}).splitlines() == [
        "|  | accuracy | proposals | upper_bound |",
        "| --- | --- | --- | --- |",
        "| testA | 50.00 % (25.00 to 75.00, n = 8) | ground truth |  |",
        "| testB |  |  | 100.00 % (50.00 to 100.00, n = 4) |",
    ]


def test_table_of_types() -> None:
    assert markdown_table(SCORES["per_type"]).splitlines()[2] == "| people | 100.00 % (50.00 to 100.00, n = 4) |"
    assert markdown_table({"number": SCORES["accuracy"]}).splitlines()[0] == "|  | share |"
