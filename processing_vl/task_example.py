"""One question, statement or expression about one or two images: what task data hand to the collators."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from .region_features import RegionFeatures

Mention = tuple[int, int, int, list[int]]
"""Words that name regions: which text (0 first, 1 second), first character, one behind the last, the regions."""


class RequiredFields(TypedDict):
    """What every example has.

    Attributes:
        index: Number in the task's table.
        example_id: The benchmark's name of the example.
        images: One image, or two (NLVR2).
        texts: One text, or one for every choice.
    """

    index: int
    example_id: str
    images: list[RegionFeatures]
    texts: list[str]


class TaskExample(RequiredFields, total=False):
    """One example of a task, without anything a model makes of it.

    Regions are numbered as in the data, row 0 being the whole image where the data have it so. What a task does not
    know is missing or None.

    Attributes:
        text_pairs: A second text for each.
        mentions: For every text (with its second one) the words that name regions.
        scores: Soft score of every answer that is right, by its number (VQA); empty when no known answer is right.
        label: The right class, choice or answer.
        region_scores: How much each region is the one that is meant, float32 `[R]` (its overlap with the target).
        phrases: First character of every phrase and one behind its last.
        phrase_targets: For every phrase a distribution over the regions, float32 `[P, R]`; zeros where no region fits.
    """

    text_pairs: list[str] | None
    mentions: list[list[Mention]] | None
    scores: dict[int, float] | None
    label: int | None
    region_scores: np.ndarray | None
    phrases: list[tuple[int, int]] | None
    phrase_targets: np.ndarray | None
