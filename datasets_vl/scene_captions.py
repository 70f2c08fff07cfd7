"""Captions of the built-in scenes: five sentences in different forms, each true, each tied to the objects it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .scene_facts import ordered_pairs, pick, with_article
from .scenes import POSITIONS, Scene, SceneObject, Stream, position_holds, relation_holds

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
POSITION_WORDS = {"top": "at the top", "bottom": "at the bottom", "left": "at the left", "right": "at the right"}
OPENINGS = ("there is", "we see")

_DETAIL_PROBABILITY = 0.1
_RICH_DETAIL_PROBABILITY = 0.3
"""How often a size or a texture that has a word is told, in most sentences and in the detailed ones."""


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

    Most sentences begin with an object and give little detail, as people do; one of the five tells more, or tells it
    the other way round.

    Returns:
        One caption of each form (list, direction, comparison, position, detail) in random order. A form for which a
        scene offers nothing to say becomes a list with an opening.
    """
    writer = _Writer(scene)
    captions = [
        writer.listing(),
        writer.related(DIRECTION_WORDS),
        writer.related(COMPARISON_WORDS),
        writer.position(),
        writer.detailed(),
    ]
    return [captions[k] for k in writer.rng.permutation(len(captions))]


class _Writer:
    """Draws the words of one scene's captions."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.rng = scene.generator(Stream.CAPTIONS)

    def listing(self) -> SceneCaption:
        return self._sentence(self._enumerate(self._some_objects(3)), detail=0)

    def related(self, relations: Mapping[str, Sequence[str]]) -> SceneCaption:
        found = self._related_pair(relations)
        if found is None:
            return self._opened_list()
        relation, first, second = found
        words = pick(self.rng, relations[relation])
        return self._sentence([first, words, second, *self._aside(first, second)], relations=(found,))

    def position(self) -> SceneCaption:
        mentioned = self._some_objects(3)
        first = mentioned[0]
        places = [p for p in POSITIONS if position_holds(p, self.scene.objects[first], self.scene)]
        if not places:
            return self._opened_list()
        place = pick(self.rng, places)
        others = self._enumerate(mentioned[1:])
        parts = [first, POSITION_WORDS[place], *(["with", *others] if others else [])]
        return self._sentence(parts, positions=((place, first),))

    def detailed(self) -> SceneCaption:
        found = self._related_pair(DIRECTION_WORDS)
        if found is None:
            return self._opened_list()
        relation, first, second = found
        words = pick(self.rng, DIRECTION_WORDS[relation])
        if self.rng.random() < 0.5:
            parts = [words, second, "is", first]
        else:
            parts = [pick(self.rng, OPENINGS), first, words, second]
        return self._sentence(parts, detail=_RICH_DETAIL_PROBABILITY, relations=(found,))

    def _opened_list(self) -> SceneCaption:
        parts = [pick(self.rng, OPENINGS), *self._enumerate(self._some_objects(2))]
        return self._sentence(parts, detail=_RICH_DETAIL_PROBABILITY)

    def _enumerate(self, objects: Sequence[int]) -> list[str | int]:
        """Puts a comma or "and" between objects."""
        parts: list[str | int] = []
        for place, index in enumerate(objects):
            parts += [] if place == 0 else ["and" if place == len(objects) - 1 else ","]
            parts.append(index)
        return parts

    def _aside(self, *mentioned: int) -> list[str | int]:
        """Adds, half of the time, one more object to a sentence."""
        rest = [k for k in range(len(self.scene.objects)) if k not in mentioned]
        return ["with", pick(self.rng, rest)] if rest and self.rng.random() < 0.5 else []

    def _some_objects(self, count: int) -> list[int]:
        return self.rng.permutation(len(self.scene.objects))[:count].tolist()

    def _related_pair(self, relations: Mapping[str, Sequence[str]]) -> tuple[str, int, int] | None:
        pairs = ordered_pairs(self.scene)
        for k in self.rng.permutation(len(pairs)):
            first, second = pairs[k]
            one, other = self.scene.objects[first], self.scene.objects[second]
            holding = [name for name in relations if relation_holds(name, one, other)]
            if holding:
                return pick(self.rng, holding), first, second
        return None

    def _name(self, item: SceneObject, detail: float) -> str:
        """Names an object: article, size, texture, colour and shape."""
        words = [item.colour, item.shape]
        if TEXTURE_WORDS[item.texture] and self.rng.random() < detail:
            words.insert(0, pick(self.rng, TEXTURE_WORDS[item.texture]))
        if SIZE_WORDS[item.size] and self.rng.random() < detail:
            words.insert(0, pick(self.rng, SIZE_WORDS[item.size]))
        return with_article(" ".join(words))

    def _sentence(
        self, parts: list[str | int], *, detail: float = _DETAIL_PROBABILITY, **facts: tuple
    ) -> SceneCaption:
        """Joins words and objects (given by their index) to a sentence."""
        text, phrases = "", []
        for part in parts:
            words = self._name(self.scene.objects[part], detail) if isinstance(part, int) else part
            text += words if words == "," or not text else " " + words
            if isinstance(part, int):
                phrases.append(Phrase(len(text) - len(words), len(text), part))
        return SceneCaption(text, tuple(phrases), **facts)
