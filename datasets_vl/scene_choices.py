"""Questions about the built-in scenes with four answers and four rationales to choose from, as in VCR.

A wrong choice is the right one of other objects: of this scene, as far as there are any, else of another scene. So
each wording is as often right as the ones beside it, and only the picture tells which. The rationales tell something
else of the same objects than the answers, so that the answer's words do not give the rationale away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from .scene_facts import DIRECTIONS, direction, ordered_pairs, pick, place, shuffled
from .scenes import Scene, SceneObject, make_scene

_Option = TypeVar("_Option")

NUM_CHOICES = 4

Token = str | list[int]
"""A word, or the numbers of the objects that stand there."""

Tokens = list[Token]


@dataclass(frozen=True, slots=True)
class SceneChoice:
    """A question with four answers and four rationales.

    Attributes:
        question: Its tokens.
        answers: Four, of which one is true.
        answer_label: Which one.
        rationales: Four, of which one is true.
        rationale_label: Which one.
    """

    question: Tokens
    answers: list[Tokens]
    answer_label: int
    rationales: list[Tokens]
    rationale_label: int


def ask_with_choices(scene: Scene, rng: np.random.Generator) -> list[SceneChoice]:
    """Draws the scene's questions.

    Args:
        scene: The scene.
        rng: Random numbers, for example `scene.generator(Stream.CHOICES)`.

    Returns:
        What colour an object has, for the reason of where in the picture it is; and, where there are two objects of
        different colours in a clear direction of each other, which direction that is, for the reason of their colours.
    """
    asked = [_ask_for_colour(scene, rng)]
    pairs = [(a, b) for a, b in _two_coloured(scene) if direction(scene.objects[a], scene.objects[b]) is not None]
    if pairs:
        asked.append(_ask_for_direction(scene, pick(rng, pairs), rng))
    return asked


def _ask_for_colour(scene: Scene, rng: np.random.Generator) -> SceneChoice:
    number = pick(rng, range(len(scene.objects)))
    item = scene.objects[number]
    colours = (other.colour for _, other in _other_objects(scene, number, rng))
    colours, answer_label = _among_four(item.colour, colours, rng)
    places = (_place(other, where) for where, other in _other_objects(scene, number, rng))
    places, rationale_label = _among_four(_place(item, scene), places, rng)
    return SceneChoice(
        question=["What", "color", "is", [number], "?"],
        answers=[[[number], "is", colour, "."] for colour in colours],
        answer_label=answer_label,
        rationales=[[[number], "is", "the", "one", *where.split(), "."] for where in places],
        rationale_label=rationale_label,
    )


def _ask_for_direction(scene: Scene, pair: tuple[int, int], rng: np.random.Generator) -> SceneChoice:
    first, second = pair
    right = direction(scene.objects[first], scene.objects[second])
    directions, answer_label = _among_four(right, DIRECTIONS, rng)
    # Every pair of colours comes in both orders, so that this does not tell which pair is meant.
    colours = _colours(scene, pair)
    others = next(other for other in _other_colours(scene, rng) if set(other) != set(colours))
    pairs, rationale_label = _among_four(colours, [colours[::-1], others, others[::-1]], rng)
    return SceneChoice(
        question=["Where", "is", [first], "as", "seen", "from", [second], "?"],
        answers=[[[first], "is", *words.split(), [second], "."] for words in directions],
        answer_label=answer_label,
        rationales=[[[first], "is", "the", one, "one", "and", [second], "the", two, "one", "."] for one, two in pairs],
        rationale_label=rationale_label,
    )


def _among_four(right: _Option, offered: Iterable[_Option], rng: np.random.Generator) -> tuple[list[_Option], int]:
    """The right option among the first three others that are offered, in random order, and its place."""
    options = [right]
    for option in offered:
        if option not in options:
            options.append(option)
        if len(options) == NUM_CHOICES:
            break
    options = shuffled(rng, options)
    return options, options.index(right)


def _other_objects(scene: Scene, number: int, rng: np.random.Generator) -> Iterator[tuple[Scene, SceneObject]]:
    """The other objects of the scene, then objects of other scenes without end."""
    others = [(scene, item) for k, item in enumerate(scene.objects) if k != number]
    yield from shuffled(rng, others)
    for other in _other_scenes(scene, rng):
        yield other, pick(rng, other.objects)


def _other_colours(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """The colours of pairs of objects of the scene, then of other scenes without end."""
    yield from (_colours(scene, pair) for pair in shuffled(rng, _two_coloured(scene)))
    for other in _other_scenes(scene, rng):
        if pairs := _two_coloured(other):
            yield _colours(other, pick(rng, pairs))


def _other_scenes(scene: Scene, rng: np.random.Generator) -> Iterator[Scene]:
    while True:
        yield make_scene(int(rng.integers(2**31)), split=scene.split, seed=scene.seed)


def _two_coloured(scene: Scene) -> list[tuple[int, int]]:
    """The ordered pairs of objects that differ in colour."""
    return [pair for pair in ordered_pairs(scene) if len(set(_colours(scene, pair))) == 2]


def _colours(scene: Scene, pair: tuple[int, int]) -> tuple[str, str]:
    return scene.objects[pair[0]].colour, scene.objects[pair[1]].colour


def _place(item: SceneObject, scene: Scene) -> str:
    where = place(item, scene)
    return f"{'in' if where == 'middle' else 'at'} the {where}"
