"""Facts about a scene in words: what questions, statements and expressions are made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from .scenes import COLOURS, SHAPES, Scene, SceneObject, position_holds, relation_holds

_Option = TypeVar("_Option")

DIRECTIONS = ("left of", "right of", "above", "below")
OPPOSITES = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def pick(rng: np.random.Generator, options: Sequence[_Option]) -> _Option:
    """Draws one of `options` with `rng`, all equally likely."""
    return options[int(rng.random() * len(options))]


def with_article(words: str) -> str:
    """Puts "a" or "an" before a noun phrase."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def direction(first: SceneObject, second: SceneObject) -> str | None:
    """The direction in which `first` lies as seen from `second`, None where it is neither clearly one nor another."""
    return next((name for name in DIRECTIONS if relation_holds(name, first, second)), None)


def place(item: SceneObject, scene: Scene) -> str:
    """The ninth of the picture in which `item` of `scene` lies: "top left", "bottom", "middle", ..."""
    parts = [name for name in ("top", "bottom", "left", "right") if position_holds(name, item, scene)]
    return " ".join(parts) or "middle"


def ordered_pairs(scene: Scene) -> list[tuple[int, int]]:
    """The numbers of all pairs of different objects, each in both orders."""
    return list(itertools.permutations(range(len(scene.objects)), 2))


def only_ones(scene: Scene, attribute: str) -> list[int]:
    """The numbers of the objects of `scene` that share the value of `attribute` ("shape", "colour") with no other."""
    values = [getattr(item, attribute) for item in scene.objects]
    return [number for number, value in enumerate(values) if values.count(value) == 1]


def absent(scene: Scene, attribute: str) -> list[str]:
    """The values of `attribute` ("shape", "colour") that no object of `scene` has."""
    present = {getattr(item, attribute) for item in scene.objects}
    return [value for value in {"shape": SHAPES, "colour": COLOURS}[attribute] if value not in present]


def shuffled(rng: np.random.Generator, options: Iterable[_Option]) -> list[_Option]:
    """Returns `options` in an order drawn with `rng`."""
    listed = list(options)
    return [listed[k] for k in rng.permutation(len(listed))]
