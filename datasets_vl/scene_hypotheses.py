"""Sentences that a built-in scene entails, contradicts, or leaves open, as in SNLI-VE.

What a sentence says of a shape that the picture does not show is left open. A scene gets one sentence of each label in
the same form, so that the words alone do not tell the label.
"""

from __future__ import annotations

import numpy as np

from .scene_facts import OPPOSITES, absent, direction, only_ones, ordered_pairs, pick
from .scenes import COLOURS, SHAPES, Scene

LABELS = ("entailment", "neutral", "contradiction")


def suppose(scene: Scene, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Draws the scene's hypotheses.

    Args:
        scene: The scene.
        rng: Random numbers, for example `scene.generator(Stream.HYPOTHESES)`.

    Returns:
        Three sentences with their labels, one of each of `LABELS`; none for a scene in which nothing is unique.
    """
    forms = [form(scene, rng) for form in (_colour_of_shape, _shape_of_colour, _relation)]
    offered = [sentences for sentences in forms if sentences is not None]
    return list(zip(pick(rng, offered), LABELS, strict=True)) if offered else []


def _colour_of_shape(scene: Scene, rng: np.random.Generator) -> tuple[str, str, str] | None:
    return _attribute(scene, rng, "shape", "colour", COLOURS, "The {0} is {1}.")


def _shape_of_colour(scene: Scene, rng: np.random.Generator) -> tuple[str, str, str] | None:
    return _attribute(scene, rng, "colour", "shape", SHAPES, "The {0} object is a {1}.")


def _attribute(
    scene: Scene, rng: np.random.Generator, known: str, told: str, values: tuple[str, ...], sentence: str
) -> tuple[str, str, str] | None:
    """Tells one attribute of an object that another one names: the true value, a missing object, a wrong value."""
    named = only_ones(scene, known)
    if not named:
        return None
    item = scene.objects[pick(rng, named)]
    name, value = getattr(item, known), getattr(item, told)
    others = [other for other in values if other != value]
    nearby = [getattr(other, told) for other in scene.objects if getattr(other, told) != value]
    wrong = pick(rng, nearby if nearby and rng.random() < 0.5 else others)
    missing = pick(rng, absent(scene, known))
    return sentence.format(name, value), sentence.format(missing, value), sentence.format(name, wrong)


def _relation(scene: Scene, rng: np.random.Generator) -> tuple[str, str, str] | None:
    named = only_ones(scene, "shape")
    pairs = [(scene.objects[a], scene.objects[b]) for a, b in ordered_pairs(scene) if a in named and b in named]
    related = [(name, a.shape, b.shape) for a, b in pairs if (name := direction(a, b)) is not None]
    if not related:
        return None
    relation, first, second = pick(rng, related)
    missing = pick(rng, absent(scene, "shape"))
    open_pair = (missing, second) if rng.random() < 0.5 else (first, missing)
    sentence = "The {} is {} the {}."
    return (
        sentence.format(first, relation, second),
        sentence.format(open_pair[0], relation, open_pair[1]),
        sentence.format(first, OPPOSITES[relation], second),
    )
