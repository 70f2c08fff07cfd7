"""The built-in synthetic data set: what a scene is, and what is true of it.

A scene is a handful of coloured, textured shapes on a grey ground. This file draws scenes at random and keeps their
ground truth; the neighbouring `scene_*.py` files make pixels, detected regions, captions and files of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "moon")
TEXTURES = ("plain", "striped", "dotted", "checked")
SIZES = ("small", "medium", "large")
SPLITS = ("train", "val", "test")

RADII = {"small": (5.5, 7.0), "medium": (9.0, 10.5), "large": (13.0, 14.5)}
"""Smallest and largest radius in pixels of each size."""

RELATIONS = ("left of", "right of", "above", "below", "next to", "bigger than", "smaller than")
"""Relations of an ordered pair of objects, see `relation_holds`."""

POSITIONS = ("top", "bottom", "left", "right")
"""Places of one object in the picture, see `position_holds`."""

COUNTS = {
    "train": (0.25, 0.25, 0.20, 0.15, 0.15),
    "val": (0.0, 0.3, 0.4, 0.3, 0.0),
    "test": (0.0, 0.3, 0.4, 0.3, 0.0),
}
"""How often a scene of each split has 1, 2, 3, 4 and 5 objects. Scenes of one or two objects teach a small model the
words within minutes; the scenes of the other splits have enough objects for a caption to tell them apart."""

_CELL = 32
_MAX_TILT = math.radians(12)


class Stream(IntEnum):
    """Independent random streams of one scene, so that none depends on how much another one draws."""

    LAYOUT = 0
    PIXELS = 1
    DETECTION = 2
    CAPTIONS = 3
    QUESTIONS = 4
    MORE_QUESTIONS = 5
    CHOICES = 6
    STATEMENTS = 7
    HYPOTHESES = 8
    EXPRESSIONS = 9


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One shape of a scene.

    Attributes:
        shape: One of `SHAPES`.
        colour: One of `COLOURS`.
        texture: One of `TEXTURES`.
        size: One of `SIZES`.
        x: Centre in pixels from the left.
        y: Centre in pixels from the top.
        radius: Half of the object's width in pixels.
        tilt: Rotation in radians.
        shade: Brightness of its colour relative to the colour's usual one.
    """

    shape: str
    colour: str
    texture: str
    size: str
    x: float
    y: float
    radius: float
    tilt: float = 0.0
    shade: float = 1.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Corners x1, y1, x2, y2 in pixels."""
        return (self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture's ground truth.

    Attributes:
        split: One of `SPLITS`.
        index: Number of the scene in its split.
        seed: Seed of the data set.
        width: Pixels.
        height: Pixels.
        objects: One to five objects that do not overlap, see `COUNTS`.
    """

    split: str
    index: int
    seed: int
    width: int
    height: int
    objects: tuple[SceneObject, ...]

    @property
    def image_id(self) -> str:
        """Name of the picture, unique over all splits."""
        return f"scene_{self.split}_{self.index:06d}"

    def generator(self, stream: Stream) -> np.random.Generator:
        """Returns the scene's own random numbers for one purpose, from the start at each call."""
        return _generator(self.seed, self.split, self.index, stream)


def _generator(seed: int, split: str, index: int, stream: Stream) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, SPLITS.index(split), index, stream))))


def make_scene(index: int, *, split: str = "train", seed: int = 0) -> Scene:
    """Draws one scene; it depends on the three arguments and on nothing else.

    Args:
        index: Number of the scene in its split, from 0.
        split: One of `SPLITS`.
        seed: Seed of the data set, not negative.

    Returns:
        The scene.

    Raises:
        ValueError: If an argument is outside its range.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    if index < 0 or seed < 0:
        raise ValueError(f"index and seed must not be negative, got index={index}, seed={seed}")
    rng = _generator(seed, split, index, Stream.LAYOUT)
    columns, rows = (int(n) for n in rng.integers((3, 3), (6, 5)))
    cells = rng.permutation(columns * rows)[
        : 1 + np.searchsorted(np.cumsum(COUNTS[split]), rng.random(), side="right")
    ]
    objects = tuple(_draw_object(rng, *divmod(int(cell), columns)) for cell in cells)
    return Scene(split=split, index=index, seed=seed, width=columns * _CELL, height=rows * _CELL, objects=objects)


def _draw_object(rng: np.random.Generator, row: int, column: int) -> SceneObject:
    """Draws an object that lies inside its cell of the grid, so that no two objects overlap."""
    choices = rng.integers(0, (len(SHAPES), len(COLOURS), len(TEXTURES), len(SIZES)))
    size = SIZES[choices[3]]
    smallest, largest = RADII[size]
    u_radius, u_x, u_y, u_tilt, u_shade = rng.random(5).tolist()
    radius = smallest + (largest - smallest) * u_radius
    slack = _CELL / 2 - 1 - radius
    return SceneObject(
        shape=SHAPES[choices[0]],
        colour=COLOURS[choices[1]],
        texture=TEXTURES[choices[2]],
        size=size,
        x=(column + 0.5) * _CELL + slack * (2 * u_x - 1),
        y=(row + 0.5) * _CELL + slack * (2 * u_y - 1),
        radius=radius,
        tilt=_MAX_TILT * (2 * u_tilt - 1),
        shade=0.9 + 0.2 * u_shade,
    )


def relation_holds(relation: str, first: SceneObject, second: SceneObject) -> bool:
    """Says whether `first` stands in `relation` to `second`.

    A direction holds when the centres differ by at least 10 pixels that way and at least as much as across it; "next
    to" when less than 14 pixels lie between the circles around both; "bigger than" and "smaller than" compare sizes by
    name.

    Args:
        relation: "left of", "right of", "above", "below", "next to", "bigger than" or "smaller than".
        first: The object the statement is about.
        second: The object it is compared with.

    Returns:
        Whether the statement is true.

    Raises:
        ValueError: If the relation is unknown.
    """
    right, down = second.x - first.x, second.y - first.y
    if relation == "left of":
        return right >= max(10.0, abs(down))
    if relation == "above":
        return down >= max(10.0, abs(right))
    if relation == "next to":
        return math.hypot(right, down) - first.radius - second.radius < 14.0
    if relation == "bigger than":
        return SIZES.index(first.size) > SIZES.index(second.size)
    if relation in ("right of", "below", "smaller than"):
        opposite = {"right of": "left of", "below": "above", "smaller than": "bigger than"}[relation]
        return relation_holds(opposite, second, first)
    raise ValueError(f"unknown relation {relation!r}, expected one of {', '.join(RELATIONS)}")


def position_holds(position: str, item: SceneObject, scene: Scene) -> bool:
    """Says whether the object's centre lies in the named outer third of the picture.

    Args:
        position: "top", "bottom", "left" or "right".
        item: The object.
        scene: The picture it is in.

    Returns:
        Whether it lies there.

    Raises:
        ValueError: If the position is unknown.
    """
    shares = {
        "top": item.y / scene.height,
        "bottom": 1 - item.y / scene.height,
        "left": item.x / scene.width,
        "right": 1 - item.x / scene.width,
    }
    if position not in shares:
        raise ValueError(f"unknown position {position!r}, expected one of {', '.join(POSITIONS)}")
    return shares[position] < 1 / 3
