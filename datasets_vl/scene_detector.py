"""A pretend detector for the built-in scenes.

Its boxes wander and sometimes miss; its features come from the pixels in them; its classes from the nearest prototype.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from processing_vl.region_features import RegionFeatures

from .scene_regions import APPEARANCE, DESCRIPTOR_SIZE, describe_regions
from .scene_rendering import render
from .scenes import COLOURS, RADII, SHAPES, SIZES, TEXTURES, Scene, SceneObject, Stream

OBJECT_CLASSES = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
"""Names of `object_ids`. In `class_probs` column 0 is the background and class i is column i + 1, as in bottom-up
attention."""

ATTRIBUTE_CLASSES = tuple(f"{size} {texture}" for size in SIZES for texture in TEXTURES)
"""Names of `attribute_ids`."""

MISS_PROBABILITY = 0.04
SECOND_BOX_PROBABILITY = 0.12
MAX_SPURIOUS = 4
SPURIOUS_PROBABILITY = 0.3
MIN_REGIONS = 3

_JITTER = 0.05
_NOISE = 0.1
_TEMPERATURE = 1.0
_PROJECTION_SEED = 20190806
_STEPS = 256.0
"""Features are multiples of 1/256: they survive float16, and come out the same in whichever order a machine sums."""


@dataclass(frozen=True, slots=True, eq=False)
class SceneDetections:
    """What the detector reports for a scene, and which object each region came from.

    Attributes:
        regions: R regions in falling order of `object_scores`, with `class_probs` `[R, 81]`.
        object_indices: int64 `[R]`, index into `scene.objects`; -1 for a spurious box on the ground.
    """

    regions: RegionFeatures
    object_indices: np.ndarray


def detect(scene: Scene, pixels: np.ndarray | None = None, *, feature_dim: int = 128) -> SceneDetections:
    """Detects the objects of a scene as an imperfect detector would.

    The ground truth decides only where the boxes lie; everything else is read from the pixels.

    Args:
        scene: The scene.
        pixels: uint8 `[height, width, 3]`; `render(scene)` when None.
        feature_dim: D, numbers a region.

    Returns:
        At least `MIN_REGIONS` regions with float32 features `[R, D]`, not negative.

    Raises:
        ValueError: If `feature_dim` is not positive.
    """
    if feature_dim < 1:
        raise ValueError(f"feature_dim must be at least 1, got {feature_dim}")
    if pixels is None:
        pixels = render(scene)
    rng = scene.generator(Stream.DETECTION)
    boxes, object_indices = _propose_boxes(scene, rng)
    descriptors = describe_regions(pixels, boxes)
    descriptors += _NOISE * rng.standard_normal(descriptors.shape, dtype=np.float32)
    class_probs, attribute_probs = _classify(descriptors)
    scores = class_probs[:, 1:].max(axis=1)
    order = np.argsort(-scores, kind="stable")
    regions = RegionFeatures(
        image_id=scene.image_id,
        width=scene.width,
        height=scene.height,
        boxes=boxes[order],
        features=_project(descriptors[order], feature_dim),
        class_probs=class_probs[order],
        object_ids=class_probs[order, 1:].argmax(axis=1),
        object_scores=scores[order],
        attribute_ids=attribute_probs[order].argmax(axis=1),
        attribute_scores=attribute_probs[order].max(axis=1),
    )
    return SceneDetections(regions=regions, object_indices=object_indices[order])


def _propose_boxes(scene: Scene, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws boxes `[R, 4]` float32 around most objects and on empty ground, and the object of each (-1: none)."""
    truth = np.array([item.box for item in scene.objects])
    everything = np.arange(len(truth))
    found = everything[rng.random(len(truth)) >= MISS_PROBABILITY]
    twice = everything[rng.random(len(truth)) < SECOND_BOX_PROBABILITY]
    indices = np.concatenate([found, np.intersect1d(found, twice)])
    wanted = max(int(rng.binomial(MAX_SPURIOUS, SPURIOUS_PROBABILITY)), MIN_REGIONS - len(indices))
    around = truth[indices]
    side = around[:, 2:3] - around[:, 0:1]
    around = around + (_JITTER * side).clip(0.7, None) * rng.standard_normal(around.shape)
    boxes = np.concatenate([around, _boxes_on_ground(scene, truth, wanted, rng)])
    limit = np.array([scene.width, scene.height] * 2, dtype=np.float64)
    boxes = (boxes.clip(0, limit) * 64).round() / 64
    return boxes.astype(np.float32), np.concatenate([indices, np.full(wanted, -1)])


def _boxes_on_ground(scene: Scene, truth: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws `count` boxes `[count, 4]` inside the picture, each the one of eight tries that covers objects least."""
    extent = np.array([scene.width, scene.height])
    sides = rng.uniform(10, 36, size=(count, 8, 2))
    corners = rng.random((count, 8, 2)) * (extent - sides)
    tries = np.concatenate([corners, corners + sides], axis=2)
    shared = np.minimum(tries[:, :, None, 2:], truth[:, 2:]) - np.maximum(tries[:, :, None, :2], truth[:, :2])
    covered = shared.clip(0, None).prod(axis=3).sum(axis=2) / sides.prod(axis=2)
    return tries[np.arange(count), covered.argmin(axis=1)]


def _classify(descriptors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes the softmax over squared distances to prototypes, summed up to classes.

    Args:
        descriptors: float32 `[R, DESCRIPTOR_SIZE]`.

    Returns:
        Class probabilities float32 `[R, 81]` (background first) and attribute probabilities float32 `[R, 12]`.
    """
    prototypes, squares = _prototypes()
    appearance = descriptors[:, APPEARANCE].astype(np.float64)
    logits = (appearance @ prototypes.T - squares) / _TEMPERATURE
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    kinds = probabilities[:, 1:].reshape(len(descriptors), len(OBJECT_CLASSES), len(ATTRIBUTE_CLASSES))
    class_probs = np.concatenate([probabilities[:, :1], kinds.sum(axis=2)], axis=1)
    attribute_probs = kinds.sum(axis=1) / (kinds.sum(axis=(1, 2))[:, None] + 1e-6)
    return _rounded(class_probs, 2.0**20), _rounded(attribute_probs, 2.0**20)


@cache
def _prototypes() -> tuple[np.ndarray, np.ndarray]:
    """Computes the descriptors of every kind of object, seen perfectly.

    Returns:
        float64 `[1 + 80 * 12, appearance]` (empty ground, then the attributes of each class) and half the squared
        length of each row.
    """
    kinds = [(size, texture) for size in SIZES for texture in TEXTURES]
    cell = 40
    rows = [np.zeros(DESCRIPTOR_SIZE, dtype=np.float32)]
    for number, colour in enumerate(COLOURS):
        items = tuple(
            SceneObject(shape, colour, texture, size, (j + 0.5) * cell, (i + 0.5) * cell, sum(RADII[size]) / 2)
            for i, shape in enumerate(SHAPES)
            for j, (size, texture) in enumerate(kinds)
        )
        sheet = Scene("train", number, _PROJECTION_SEED, cell * len(kinds), cell * len(SHAPES), items)
        rows.extend(describe_regions(render(sheet), np.array([item.box for item in items])))
    prototypes = np.stack(rows)[:, APPEARANCE].astype(np.float64)
    return prototypes, (prototypes**2).sum(axis=1) / 2


@cache
def _projection(feature_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a fixed random layer: weights `[DESCRIPTOR_SIZE, feature_dim]` and biases, the same for every data set."""
    rng = np.random.Generator(np.random.Philox(_PROJECTION_SEED))
    weights = rng.standard_normal((feature_dim, DESCRIPTOR_SIZE)).T / DESCRIPTOR_SIZE**0.5
    centre = np.zeros(DESCRIPTOR_SIZE)
    centre[APPEARANCE] = _prototypes()[0].mean(axis=0)
    return weights, -centre @ weights


def _project(descriptors: np.ndarray, feature_dim: int) -> np.ndarray:
    """Turns descriptors into features: random projection, then ReLU, `[R, DESCRIPTOR_SIZE]` -> float32 `[R, D]`."""
    weights, bias = _projection(feature_dim)
    return _rounded((descriptors.astype(np.float64) @ weights + bias).clip(0, None) * 2, _STEPS)


def _rounded(values: np.ndarray, steps: float) -> np.ndarray:
    return (np.round(values * steps) / steps).astype(np.float32)
