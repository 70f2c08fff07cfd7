"""Statements about two of the built-in scenes, as in NLVR2.

As there, eight pictures make a set of four pairs, and a sentence is written so that it is true of two of the pairs and
false of the other two: whoever does not look is right half of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .scene_facts import pick, with_article
from .scenes import COLOURS, SHAPES, Scene, Stream, make_scene

PAIRS_PER_SET = 4
SCENES_PER_SET = 2 * PAIRS_PER_SET
SENTENCES_PER_SET = 8
"""At most so many."""

_FIRST_INDEX = 10_000_000
"""Number of the first scene that is used here: these pictures belong to no other task, as those of NLVR2."""


@dataclass(frozen=True, slots=True)
class StatementSet:
    """Pictures and sentences about them.

    Attributes:
        split: One of `SPLITS`.
        number: Number of the set in its split.
        pairs: `PAIRS_PER_SET` pairs of scenes, left and right.
        sentences: Sentences, each with its truth for every pair.
    """

    split: str
    number: int
    pairs: tuple[tuple[Scene, Scene], ...]
    sentences: tuple[tuple[str, tuple[bool, ...]], ...]

    def image_id(self, pair: int, side: int) -> str:
        """The id of the picture on a `side` (0: left, 1: right) of a `pair`, in NLVR2's form."""
        return f"{self.split}-{self.number}-{pair}-img{side}"


def make_statements(number: int, *, split: str = "train", seed: int = 0) -> StatementSet:
    """Draws one set; it depends on the three arguments and on nothing else.

    Args:
        number: Number of the set in its split, from 0.
        split: One of `SPLITS`.
        seed: Seed of the data set.

    Returns:
        The set, with up to `SENTENCES_PER_SET` different sentences.
    """
    start = _FIRST_INDEX + number * SCENES_PER_SET
    scenes = [make_scene(start + k, split=split, seed=seed) for k in range(SCENES_PER_SET)]
    pairs = tuple(zip(scenes[::2], scenes[1::2], strict=True))
    rng = scenes[0].generator(Stream.STATEMENTS)
    by_kind: list[list[tuple[str, tuple[bool, ...]]]] = []
    for statements in _KINDS:
        judged = [(text, tuple(holds(*pair) for pair in pairs)) for text, holds in statements]
        by_kind.append([found for found in judged if sum(found[1]) == PAIRS_PER_SET // 2])
    sentences = []
    while len(sentences) < SENTENCES_PER_SET and any(by_kind):
        chosen = pick(rng, pick(rng, [found for found in by_kind if found]))
        by_kind = [[found for found in of_kind if found != chosen] for of_kind in by_kind]
        sentences.append(chosen)
    return StatementSet(split, number, pairs, tuple(sentences))


_Statement = tuple[str, Callable[[Scene, Scene], bool]]


def _count(scene: Scene, thing: str) -> int:
    return sum(thing in (item.shape, f"{item.colour} object") for item in scene.objects)


def _statements() -> list[list[_Statement]]:
    """All statements, by kind."""
    things = (*SHAPES, *(f"{colour} object" for colour in COLOURS))
    named = [(with_article(thing), thing) for thing in things]
    return [
        [(f"The left image contains {a}.", lambda left, _, t=thing: _count(left, t) > 0) for a, thing in named],
        [(f"The right image contains {a}.", lambda _, right, t=thing: _count(right, t) > 0) for a, thing in named],
        [
            (f"There is no {thing} in the left image.", lambda left, _, t=thing: not _count(left, t))
            for thing in things
        ],
        [
            (f"Both images contain {a}.", lambda left, right, t=thing: min(_count(left, t), _count(right, t)) > 0)
            for a, thing in named
        ],
        [
            (
                f"Only one of the images contains {a}.",
                lambda left, right, t=thing: (_count(left, t) > 0) != (_count(right, t) > 0),
            )
            for a, thing in named
        ],
        [
            (
                "There are more objects in the left image than in the right image.",
                lambda left, right: len(left.objects) > len(right.objects),
            ),
            (
                "There are as many objects in the left image as in the right image.",
                lambda left, right: len(left.objects) == len(right.objects),
            ),
        ],
    ]


_KINDS = _statements()
