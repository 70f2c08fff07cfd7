"""Captions of the built-in scenes: five sentences in different forms, each true, each tied to the objects it names."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from .scenes import POSITIONS, Scene, SceneObject, Stream, position_holds, relation_holds

_Option = TypeVar("_Option")

SIZE_WORDS = {"small": ("small", "little"), "medium": (), "large": ("large", "big")}
TEXTURE_WORDS = {"plain": (), "striped": ("striped",), "dotted": ("dotted", "spotted"), "checked": ("checked",)}
DIRECTION_WORDS = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside"),
}
COMPARISON_WORDS = {"bigger than": ("bigger than", "larger than"), "smaller than": ("smaller than",)}
POSITION_WORDS = {
    "top": ("at the top",),
    "bottom": ("at the bottom",),
    "left": ("on the left side",),
    "right": ("on the right side",),
}
_DETAIL_PROBABILITY = 0.3
OPENINGS = ("", "there is", "we see")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase of a caption: `text[start:end]` names object `object_index` of the scene."""

    start: int
    end: int
    object_index: int


@dataclass(frozen=True, slots=True)
class SceneCaption:
    """One sentence about a scene and what it states.

    Attributes:
        text: Lower-case English; a comma is its only punctuation.
        phrases: The noun phrases in order.
        relations: Stated relations: name, first and second object index.
        positions: Stated places: name and object index.
    """

    text: str
    phrases: tuple[Phrase, ...]
    relations: tuple[tuple[str, int, int], ...] = ()
    positions: tuple[tuple[str, int], ...] = ()

    @property
    def words(self) -> list[str]:
        """The words without punctuation."""
        return self.text.replace(",", "").split()


def describe(scene: Scene) -> list[SceneCaption]:
    """Writes the scene's five captions.

    Returns:
        One caption of each form (list, direction, direction told backwards, comparison, position) in random order. A form
        for which a scene offers nothing to say becomes a list.
    """
    writer = _Writer(scene)
    captions = [
        form() for form in (writer.list, writer.direction, writer.inversion, writer.comparison, writer.position)
    ]
    return [captions[k] for k in writer.rng.permutation(len(captions))]


class _Writer:
    """Draws the words of one scene's captions."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.rng = scene.generator(Stream.CAPTIONS)

    def list(self) -> SceneCaption:
        first, second, third = self._some_objects(3)
        return self._sentence([self._pick(OPENINGS), first, ",", second, "and", third], detailed=False)

    def direction(self) -> SceneCaption:
        found = self._related_pair(DIRECTION_WORDS)
        if found is None:
            return self.list()
        relation, first, second = found
        verb = self._pick(("", "is"))
        words = self._pick(DIRECTION_WORDS[relation])
        return self._sentence([first, verb, words, second, *self._aside(first, second)], relations=(found,))

    def inversion(self) -> SceneCaption:
        found = self._related_pair(DIRECTION_WORDS)
        if found is None:
            return self.list()
        relation, first, second = found
        words = self._pick(DIRECTION_WORDS[relation])
        verb = self._pick(("is", "we see"))
        return self._sentence([words, second, verb, first, *self._aside(first, second)], relations=(found,))

    def comparison(self) -> SceneCaption:
        found = self._related_pair(COMPARISON_WORDS)
        if found is None:
            return self.list()
        relation, first, second = found
        words = self._pick(COMPARISON_WORDS[relation])
        return self._sentence([first, "is", words, second, *self._aside(first, second)], relations=(found,))

    def position(self) -> SceneCaption:
        first, second = self._some_objects(2)
        for index in (first, second):
            places = [p for p in POSITIONS if position_holds(p, self.scene.objects[index], self.scene)]
            if places:
                place = self._pick(places)
                other = first + second - index
                tail = self._pick(("and", "with"))
                parts = [index, self._pick(POSITION_WORDS[place]), tail, other, *self._aside(first, second)]
                return self._sentence(parts, positions=((place, index),))
        return self.list()

    def _aside(self, *mentioned: int) -> list[str | int]:
        """Adds, half of the time, one more object to a sentence."""
        rest = [k for k in range(len(self.scene.objects)) if k not in mentioned]
        return [",", "and", self._pick(rest)] if self.rng.random() < 0.5 else []

    def _some_objects(self, count: int) -> list[int]:
        return self.rng.permutation(len(self.scene.objects))[:count].tolist()

    def _related_pair(self, relations: dict[str, tuple[str, ...]]) -> tuple[str, int, int] | None:
        pairs = list(itertools.permutations(range(len(self.scene.objects)), 2))
        for k in self.rng.permutation(len(pairs)):
            first, second = pairs[k]
            one, other = self.scene.objects[first], self.scene.objects[second]
            holding = [name for name in relations if relation_holds(name, one, other)]
            if holding:
                return self._pick(holding), first, second
        return None

    def _pick(self, options: Sequence[_Option]) -> _Option:
        return options[int(self.rng.random() * len(options))]

    def _name(self, item: SceneObject, detailed: bool) -> str:
        """Names an object: article, size, texture, colour and shape, the texture sometimes behind."""
        words = [item.colour, item.shape]
        if detailed and TEXTURE_WORDS[item.texture] and self.rng.random() < _DETAIL_PROBABILITY:
            words.insert(0, self._pick(TEXTURE_WORDS[item.texture]))
        if detailed and SIZE_WORDS[item.size] and self.rng.random() < _DETAIL_PROBABILITY:
            words.insert(0, self._pick(SIZE_WORDS[item.size]))
        return " ".join(["an" if words[0][0] in "aeiou" else "a", *words])

    def _sentence(self, parts: list[str | int], *, detailed: bool = True, **facts: tuple) -> SceneCaption:
        """Joins words and objects (given by their index) to a sentence."""
        text, phrases = "", []
        for part in parts:
            words = self._name(self.scene.objects[part], detailed) if isinstance(part, int) else part
            if not words:
                continue
            text += words if words == "," or not text else " " + words
            if isinstance(part, int):
                phrases.append(Phrase(len(text) - len(words), len(text), part))
        return SceneCaption(text, tuple(phrases), **facts)
