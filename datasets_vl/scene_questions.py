"""Questions about the built-in scenes, with the answers of ten people.

As in VQA v2, the question alone must not tell the answer. Every kind of question is drawn so that, over all scenes,
each of its wordings has all of its possible answers equally often; the exception is the number of objects, which is as
frequent as the split has it (`scenes.COUNTS`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .scene_facts import (
    DIRECTIONS,
    OPPOSITES,
    absent,
    direction,
    only_ones,
    ordered_pairs,
    pick,
    shuffled,
    with_article,
)
from .scenes import COLOURS, SHAPES, Scene, relation_holds

YES_NO = ("yes", "no")
NUMBERS = ("1", "2", "3", "4", "5")
QUESTIONS_PER_SCENE = 3
"""At most so many; a scene of one object offers fewer."""

_MISTAKE = 0.05
_MAX_MISTAKES = 3


@dataclass(frozen=True, slots=True)
class SceneQuestion:
    """A question with its answer.

    Attributes:
        kind: One of `KINDS`.
        text: The question.
        opening: Its first words, VQA's `question_type`.
        answer: The true answer.
        answers: All answers that this kind of question may have.
    """

    kind: str
    text: str
    opening: str
    answer: str
    answers: tuple[str, ...]

    @property
    def answer_type(self) -> str:
        """VQA's `answer_type`: "yes/no", "number" or "other"."""
        return {YES_NO: "yes/no", NUMBERS: "number"}.get(self.answers, "other")


def ask(scene: Scene, rng: np.random.Generator) -> list[SceneQuestion]:
    """Draws the scene's questions.

    Args:
        scene: The scene.
        rng: Random numbers, for example `scene.generator(Stream.QUESTIONS)`.

    Returns:
        Up to `QUESTIONS_PER_SCENE` questions of different kinds. A kind for which the scene offers nothing is left
        out and not replaced, which would let the question say how much there is in the picture.
    """
    drawn = [KINDS[kind](scene, rng) for kind in shuffled(rng, KINDS)[:QUESTIONS_PER_SCENE]]
    return [question for question in drawn if question is not None]


def answers_of_ten(question: SceneQuestion, rng: np.random.Generator) -> list[str]:
    """What ten people answer: now and then one is mistaken, never more than three.

    Args:
        question: The question.
        rng: Random numbers.

    Returns:
        Ten answers.
    """
    answers = [question.answer] * 10
    for person in np.flatnonzero(rng.random(10) < _MISTAKE)[:_MAX_MISTAKES]:
        answers[person] = pick(rng, [other for other in question.answers if other != question.answer])
    return answers


def _colour(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    if not (asked := only_ones(scene, "shape")):
        return None
    item = scene.objects[pick(rng, asked)]
    opening = "what color is the"
    return SceneQuestion("colour", f"What color is the {item.shape}?", opening, item.colour, COLOURS)


def _shape(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    if not (asked := only_ones(scene, "colour")):
        return None
    item = scene.objects[pick(rng, asked)]
    opening = "what shape is the"
    return SceneQuestion("shape", f"What shape is the {item.colour} object?", opening, item.shape, SHAPES)


def _count(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    return SceneQuestion("count", "How many objects are there?", "how many", str(len(scene.objects)), NUMBERS)


def _existence(scene: Scene, rng: np.random.Generator) -> SceneQuestion:
    answer = pick(rng, YES_NO)
    form = pick(rng, ("shape", "colour", "both"))
    item = pick(rng, scene.objects)
    colour, shape = item.colour, item.shape
    if answer == "no" and form == "shape":
        shape = pick(rng, absent(scene, "shape"))
    elif answer == "no":
        colour = pick(rng, _colours_not_of(scene, shape) if form == "both" else absent(scene, "colour"))
    thing = {"shape": shape, "colour": f"{colour} object", "both": f"{colour} {shape}"}[form]
    return SceneQuestion("existence", f"Is there {with_article(thing)}?", "is there a", answer, YES_NO)


def _colours_not_of(scene: Scene, shape: str) -> list[str]:
    """Colours that no object of this shape has, if possible those of other objects, else those of none."""
    taken = {item.colour for item in scene.objects if item.shape == shape}
    elsewhere = [item.colour for item in scene.objects if item.colour not in taken]
    return elsewhere or absent(scene, "colour")


def _relation(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    named = only_ones(scene, "shape")
    pairs = [(scene.objects[a], scene.objects[b]) for a, b in ordered_pairs(scene) if a in named and b in named]
    related = [(name, a, b) for a, b in pairs if (name := direction(a, b)) is not None]
    if not related:
        return None
    relation, first, second = pick(rng, related)
    answer = pick(rng, YES_NO)
    said = relation if answer == "yes" else OPPOSITES[relation]
    return SceneQuestion("relation", f"Is the {first.shape} {said} the {second.shape}?", "is the", answer, YES_NO)


def _neighbour(scene: Scene, rng: np.random.Generator) -> SceneQuestion | None:
    asked = []
    for number in only_ones(scene, "shape"):
        anchor = scene.objects[number]
        for relation in DIRECTIONS:
            there = [item for item in scene.objects if relation_holds(relation, item, anchor)]
            if len(there) == 1:
                asked.append((relation, anchor, there[0]))
    if not asked:
        return None
    relation, anchor, item = pick(rng, asked)
    return SceneQuestion(
        "neighbour", f"What shape is {relation} the {anchor.shape}?", "what shape is", item.shape, SHAPES
    )


KINDS: dict[str, Callable[[Scene, np.random.Generator], SceneQuestion | None]] = {
    "colour": _colour,
    "shape": _shape,
    "count": _count,
    "existence": _existence,
    "relation": _relation,
    "neighbour": _neighbour,
}
