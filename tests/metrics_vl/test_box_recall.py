"""Grounding scores against values worked out by hand: thresholds, protocols, ties, upper bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.box_recall import score_phrases, score_referring

TARGET = [0, 0, 10, 10]
HALF = [0, 0, 10, 5]
"""Overlaps the target by exactly 0.5; with the extra pixel by 66 / 121, which is more."""
HALF_WITH_PIXEL = [0, 0, 9, 4]
"""Of `[0, 0, 9, 9]`: exactly 0.5 with the extra pixel, 36 / 81 without."""
FAR = [50, 50, 60, 60]


def one(boxes: list, scores: list) -> dict[str, dict]:
    return {"s": {"boxes": boxes, "scores": scores}}


def refer(boxes: list, scores: list, target: list = TARGET, **settings: bool) -> tuple[float, float]:
    found = score_referring(one(boxes, scores), {"s": target}, proposals="made up", **settings)
    return found["accuracy"].value, found["upper_bound"].value


def phrase(*boxes: list, types: tuple[str, ...] = ("people",)) -> dict:
    return {"boxes": boxes, "types": types}


def ground(boxes: list, scores: list, *phrases: dict, **settings: object) -> dict:
    return score_phrases(one(boxes, scores), {"s": phrases}, proposals="made up", **settings)


def values(shares: dict) -> dict[str, float]:
    return {name: share.value for name, share in shares.items()}


def test_referring_expressions_by_hand() -> None:
    """a: best box right; b: right box is second; c: no box is right; d: nothing was detected."""
    predictions = {
        "a": {"boxes": [TARGET, FAR], "scores": [2.0, 1.0]},
        "b": {"boxes": [TARGET, FAR], "scores": [1.0, 2.0]},
        "c": {"boxes": [FAR], "scores": [9.0]},
        "d": {"boxes": [], "scores": []},
    }
    found = score_referring(predictions, dict.fromkeys("abcd", TARGET), proposals="detections of X")
    assert values({name: found[name] for name in ("accuracy", "upper_bound")}) == {
        "accuracy": 0.25,
        "upper_bound": 0.5,
    }
    assert found["accuracy"].count == 4
    assert (found["proposals"], found["plus_one"]) == ("detections of X", True)


@pytest.mark.parametrize(
    ("box", "target", "plus_one", "hit"),
    [
        (HALF, TARGET, False, 0),
        (HALF, TARGET, True, 1),
        (HALF_WITH_PIXEL, [0, 0, 9, 9], True, 0),
        ([0, 0, 10, 5.01], TARGET, False, 1),
        (TARGET, TARGET, False, 1),
    ],
)
def test_referring_expressions_need_more_than_half(box: list, target: list, plus_one: bool, hit: int) -> None:
    assert refer([box], [0.0], target, plus_one=plus_one) == (hit, hit)


@pytest.mark.parametrize(
    ("box", "target", "plus_one", "hit"),
    [
        (HALF, TARGET, False, 1),
        ([0, 0, 10, 4.99], TARGET, False, 0),
        (HALF_WITH_PIXEL, [0, 0, 9, 9], True, 1),
        (HALF_WITH_PIXEL, [0, 0, 9, 9], False, 0),
    ],
)
def test_phrases_need_half_or_more(box: list, target: list, plus_one: bool, hit: int) -> None:
    assert ground([box], [[0.0]], phrase(target), plus_one=plus_one)["recall_at_1"].value == hit


def test_a_tie_is_lost_unless_all_of_it_matches() -> None:
    assert refer([FAR, TARGET], [1.0, 1.0]) == (0, 1)
    assert refer([TARGET, FAR], [1.0, 1.0]) == (0, 1)
    assert refer([TARGET, TARGET, FAR], [1.0, 1.0, 0.0]) == (1, 1)


def test_phrases_by_hand() -> None:
    """Four phrases with boxes: ranks 1, 2, 7, none; the fifth has no box. The second counts under both its types."""
    boxes = [TARGET, *([50 + 20 * n, 50, 60 + 20 * n, 60] for n in range(6))]
    scores = [[9, 6, 5, 4, 3, 2, 1], [8, 9, 0, 0, 0, 0, 0], [0, 6, 5, 4, 3, 2, 1], [0] * 7, [0] * 7]
    phrases = [
        phrase(TARGET),
        phrase([0, 0, 10, 9], types=("people", "clothing")),
        phrase([0, 0, 9, 10], types=("scene",)),
        phrase([200, 0, 210, 10], types=("scene",)),
        phrase(types=("scene",)),
    ]
    found = ground(boxes, scores, *phrases)
    names = ("recall_at_1", "recall_at_5", "recall_at_10", "upper_bound")
    assert values({name: found[name] for name in names}) == dict(zip(names, [0.25, 0.5, 0.75, 0.75], strict=True))
    assert found["recall_at_1"].count == 4
    per_type = {kind: list(values(shares).values()) for kind, shares in found["per_type"].items()}
    assert per_type == {"clothing": [0, 1, 1, 1], "people": [0.5, 1, 1, 1], "scene": [0, 0, 0.5, 0.5]}
    assert list(per_type) == ["clothing", "people", "scene"]
    assert found["per_type"]["scene"]["recall_at_1"].count == 2
    assert (found["proposals"], found["protocol"], found["plus_one"]) == ("made up", "any_box", False)


def test_several_boxes_of_a_phrase_by_both_protocols() -> None:
    """Two boxes side by side: each matches alone by the one protocol, only the box around both by the other."""
    left, right, around = [0, 0, 10, 10], [10, 0, 20, 10], [0, 0, 20, 10]
    pair = phrase(left, right)
    for boxes, any_box, merged_box in (([left], 1, 1), ([around], 1, 1), ([[0, 0, 6, 10]], 1, 0), ([FAR], 0, 0)):
        for protocol, hit in (("any_box", any_box), ("merged_box", merged_box)):
            found = ground(boxes, [[0.0]], pair, protocol=protocol)
            assert (found["recall_at_1"].value, found["protocol"]) == (hit, protocol)


@given(st.data())
def test_recall_grows_with_k_up_to_the_upper_bound(data: st.DataObject) -> None:
    """And neither the order of proposals nor a scaling of scores changes it."""
    count = data.draw(st.integers(1, 6))
    corner = st.integers(0, 8)
    boxes = [
        [x, y, x + 4, y + 4] for x, y in data.draw(st.lists(st.tuples(corner, corner), min_size=count, max_size=count))
    ]
    scores = data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=count, max_size=count))
    target = phrase([2, 2, 6, 6], [6, 6, 10, 10])
    found = ground(boxes, [scores], target, ks=(1, 2, 6))
    recalls = [found[name].value for name in ("recall_at_1", "recall_at_2", "recall_at_6", "upper_bound")]
    assert recalls == sorted(recalls)
    assert recalls[2] == recalls[3]
    order = data.draw(st.permutations(range(count)))
    mixed = ground([boxes[i] for i in order], [[2 * scores[i] - 7 for i in order]], target, ks=(1, 2, 6))
    assert mixed == found


def test_arrays_are_accepted() -> None:
    boxes = np.array([TARGET, FAR], dtype=np.float32)
    assert refer(boxes, np.array([1, 0], dtype=np.float16)) == (1, 1)


@pytest.mark.parametrize(
    ("boxes", "scores", "target", "message"),
    [
        ([TARGET], [1.0, 2.0], TARGET, r"scores of example 's' must have shape \[1\], got \[2\]"),
        ([TARGET], [[1.0]], TARGET, r"must have shape \[1\], got \[1, 1\]"),
        ([], [1.0], TARGET, r"must have shape \[0\], got \[1\]"),
        ([TARGET], [np.nan], TARGET, "example 's' has a score that is not a number"),
        (
            [[5, 5, 3, 9]],
            [1.0],
            TARGET,
            "the proposals of example 's' is not x1 y1 x2 y2 .* given as x y width height",
        ),
        ([[0, 0, np.nan, 9]], [1.0], TARGET, "the proposals of example 's' is not x1 y1 x2 y2"),
        ([[0, 0, 1, 1, 0.5]], [1.0], TARGET, r"must have shape \[N, 4\], got \[1, 5\]"),
        ([TARGET], [1.0], [TARGET], "example 's' must refer to one box"),
        ([TARGET], [1.0], [], "example 's' must refer to one box"),
        ([TARGET], [1.0], [5, 5, 3, 9], "the reference of example 's' is not x1 y1 x2 y2"),
    ],
)
def test_malformed_boxes_and_scores_are_refused(boxes: list, scores: list, target: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refer(boxes, scores, target)


@pytest.mark.parametrize(
    ("scores", "phrases", "settings", "message"),
    [
        ([[1.0]], [phrase(TARGET)] * 2, {}, "example 's' has 2 phrases, but scores for 1"),
        ([1.0], [phrase(TARGET)], {}, r"must have shape \[phrases, 1\], got \[1\]"),
        ([[1.0]], [phrase(TARGET)], {"protocol": "first_box"}, "any_box, merged_box, got 'first_box'"),
        ([[1.0]], [phrase(TARGET)], {"ks": (0,)}, "at least 1"),
        ([[1.0]], [phrase()], {}, "no phrase has a box"),
    ],
)
def test_phrases_that_cannot_be_scored_are_refused(scores: list, phrases: list, settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ground([TARGET], scores, *phrases, **settings)


def test_sentences_without_proposals_are_misses_and_those_without_phrases_nothing() -> None:
    predictions = one([], [[], []]) | {"t": {"boxes": [TARGET], "scores": []}}
    found = score_phrases(predictions, {"s": [phrase(TARGET), phrase(FAR)], "t": []}, proposals="made up")
    assert (found["upper_bound"].value, found["upper_bound"].count) == (0, 2)


@pytest.mark.parametrize("score", [score_referring, score_phrases])
def test_the_source_of_proposals_must_be_named(score: object) -> None:
    with pytest.raises(ValueError, match="must say where the boxes come from"):
        score({}, {}, proposals=" ")
    with pytest.raises(TypeError, match="proposals"):
        score({}, {})


def test_missing_examples_are_named() -> None:
    with pytest.raises(ValueError, match="1 are missing: 't'"):
        score_referring(one([TARGET], [1.0]), {"s": TARGET, "t": TARGET}, proposals="made up")
