"""Every example counts once, and errors name those that do not."""

from __future__ import annotations

import pytest

from metrics_vl.example_ids import by_example_id, paired


def test_pairs_come_in_the_order_of_the_references() -> None:
    assert paired({"b": 2, "a": 1}, {"a": "x", "b": "y"}) == [("a", 1, "x"), ("b", 2, "y")]


def test_values_are_keyed_in_their_order() -> None:
    assert list(by_example_id(iter("ba"), [1, 2]).items()) == [("b", 1), ("a", 2)]


def test_an_example_that_comes_twice_is_named_once() -> None:
    with pytest.raises(ValueError, match="some come more than once: 'a', 'c'$"):
        by_example_id("abacca", range(6))


def test_ids_without_a_value_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 for 2 ids"):
        by_example_id("ab", [1])


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ("ab", "abcdefghi", r"the 9 examples; 7 are missing: 'c', 'd', 'e', 'f', 'g' and 2 more$"),
        ("abc", "ab", r"the 2 examples; 1 belong to no example: 'c'$"),
        ([7, "b"], ["7", "b"], r"1 are missing: '7'; 1 belong to no example: 7$"),
        ("a", "", "there are no examples to score"),
    ],
)
def test_ids_that_differ_are_named(predictions: object, references: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired(dict.fromkeys(predictions), dict.fromkeys(references))
