"""Referring expressions for the built-in scenes: each fits exactly one object of its picture, as in RefCOCO."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .scene_facts import DIRECTIONS, only_ones, pick
from .scenes import POSITIONS, SIZES, Scene, SceneObject, position_holds, relation_holds

_Expression = tuple[str, Callable[[SceneObject], bool]]
"""A text and which objects it fits."""


def refer_to(scene: Scene, rng: np.random.Generator) -> list[tuple[int, list[str]]]:
    """Draws expressions for the objects of a scene.

    Args:
        scene: The scene.
        rng: Random numbers, for example `scene.generator(Stream.EXPRESSIONS)`.

    Returns:
        Numbers of objects, each with up to three expressions: one that names it, one that says where it is, one that
        goes by another object. Nothing for a scene of one object, in which there is nothing to tell apart; and an
        object that no expression singles out is left out.
    """
    if len(scene.objects) == 1:
        return []
    referred = []
    for number, item in enumerate(scene.objects):
        expressions = []
        for offered in (_names(item), _places(item, scene), _neighbours(scene)):
            fitting = [
                text for text, fits in offered if [fits(other) for other in scene.objects] == _only(number, scene)
            ]
            if fitting:
                expressions.append(pick(rng, fitting))
        if expressions:
            referred.append((number, expressions))
    return referred


def _only(number: int, scene: Scene) -> list[bool]:
    return [k == number for k in range(len(scene.objects))]


def _names(item: SceneObject) -> Iterator[_Expression]:
    yield f"the {item.shape}", lambda other: other.shape == item.shape
    yield f"the {item.colour} object", lambda other: other.colour == item.colour
    yield f"the {item.colour} {item.shape}", lambda other: (other.colour, other.shape) == (item.colour, item.shape)
    if item.size != SIZES[1]:  # nobody calls an object medium
        yield f"the {item.size} {item.shape}", lambda other: (other.size, other.shape) == (item.size, item.shape)


def _places(item: SceneObject, scene: Scene) -> Iterator[_Expression]:
    for position in POSITIONS:

        def is_there(other: SceneObject, position: str = position) -> bool:
            return position_holds(position, other, scene)

        yield f"the object at the {position}", is_there
        yield (
            f"the {item.shape} at the {position}",
            lambda other, is_there=is_there: other.shape == item.shape and is_there(other),
        )


def _neighbours(scene: Scene) -> Iterator[_Expression]:
    for number in only_ones(scene, "shape"):
        anchor = scene.objects[number]
        for relation in DIRECTIONS:
            yield (
                f"the object {relation} the {anchor.shape}",
                lambda other, relation=relation, anchor=anchor: relation_holds(relation, other, anchor),
            )
