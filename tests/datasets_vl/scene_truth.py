"""What is true of a scene, told from the numbers of its objects: shares no code with what writes about scenes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from datasets_vl.scenes import COLOURS, SHAPES, Scene, SceneObject

RELATIONS = {
    "left of": lambda a, b: b.x - a.x >= 10 and b.x - a.x >= abs(b.y - a.y),
    "to the left of": lambda a, b: b.x - a.x >= 10 and b.x - a.x >= abs(b.y - a.y),
    "right of": lambda a, b: a.x - b.x >= 10 and a.x - b.x >= abs(b.y - a.y),
    "to the right of": lambda a, b: a.x - b.x >= 10 and a.x - b.x >= abs(b.y - a.y),
    "above": lambda a, b: b.y - a.y >= 10 and b.y - a.y >= abs(b.x - a.x),
    "over": lambda a, b: b.y - a.y >= 10 and b.y - a.y >= abs(b.x - a.x),
    "below": lambda a, b: a.y - b.y >= 10 and a.y - b.y >= abs(b.x - a.x),
    "under": lambda a, b: a.y - b.y >= 10 and a.y - b.y >= abs(b.x - a.x),
    "next to": lambda a, b: math.dist((a.x, a.y), (b.x, b.y)) < a.radius + b.radius + 14,
    "beside": lambda a, b: math.dist((a.x, a.y), (b.x, b.y)) < a.radius + b.radius + 14,
    "bigger than": lambda a, b: a.radius > b.radius and a.size != b.size,
    "larger than": lambda a, b: a.radius > b.radius and a.size != b.size,
    "smaller than": lambda a, b: a.radius < b.radius and a.size != b.size,
}
PLACES = {
    "top": lambda a, scene: 3 * a.y < scene.height,
    "bottom": lambda a, scene: 3 * a.y > 2 * scene.height,
    "left": lambda a, scene: 3 * a.x < scene.width,
    "right": lambda a, scene: 3 * a.x > 2 * scene.width,
}


def objects_called(words: str, scene: Scene) -> list[SceneObject]:
    """The objects that a noun phrase without article fits: "star", "red object", "small red star"."""
    found = list(scene.objects)
    for word in words.split():
        if word in COLOURS:
            found = [item for item in found if item.colour == word]
        elif word in SHAPES:
            found = [item for item in found if item.shape == word]
        elif word in ("small", "large"):
            found = [item for item in found if item.size == word]
        else:
            assert word == "object", words
    return found


def the_object(words: str, scene: Scene) -> SceneObject:
    """The one object that a noun phrase fits."""
    (item,) = objects_called(words, scene)
    return item


def accuracy_from_words_alone(seen: Sequence[tuple[str, str]], unseen: Sequence[tuple[str, str]]) -> float:
    """How often a reader without pictures is right, who knows the usual label of every text and of all texts.

    Args:
        seen: Texts with their labels to learn from.
        unseen: Texts with their labels to be asked about.

    Returns:
        The share of right guesses.
    """
    by_text: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text, label in seen:
        by_text[text][label] += 1
    (usual, _), *_ = Counter(label for _, label in seen).most_common(1)
    guesses = [by_text[text].most_common(1)[0][0] if text in by_text else usual for text, _ in unseen]
    return sum(guess == label for guess, (_, label) in zip(guesses, unseen, strict=True)) / len(unseen)
