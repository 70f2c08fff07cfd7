"""Pixels of the built-in scenes, drawn with numpy."""

from __future__ import annotations

import math

import numpy as np

from .scenes import Scene, SceneObject, Stream

RGB = {
    "red": (210, 35, 35),
    "orange": (245, 135, 25),
    "yellow": (240, 220, 40),
    "green": (40, 150, 60),
    "blue": (40, 80, 215),
    "purple": (130, 45, 165),
    "pink": (245, 150, 190),
    "brown": (115, 70, 35),
    "black": (25, 25, 28),
    "white": (232, 232, 232),
}
"""Usual red, green and blue value of each colour, 0 to 255."""

_GROUND = 125.0
_PATTERN_CONTRAST = 0.25


def render(scene: Scene) -> np.ndarray:
    """Draws a scene.

    Returns:
        uint8 `[height, width, 3]`: the objects on a grey ground with a faint tint, uneven light and pixel noise.
    """
    rng = scene.generator(Stream.PIXELS)
    tint = (_GROUND + rng.uniform(-8, 8, size=3)).astype(np.float32)
    slope_x, slope_y = rng.uniform(-8, 8, size=2).astype(np.float32)
    from_top, from_left = (np.linspace(-1, 1, n, dtype=np.float32) for n in (scene.height, scene.width))
    light = slope_y * from_top[:, None] + slope_x * from_left
    canvas = tint + light[..., None]
    for item in scene.objects:
        _paint(canvas, item)
    noise = np.frombuffer(rng.bytes(canvas.size), dtype=np.uint8).reshape(canvas.shape) >> 4
    canvas += noise
    canvas -= 8
    return np.clip(canvas, 0, 255, out=canvas).astype(np.uint8)


def _paint(canvas: np.ndarray, item: SceneObject) -> None:
    """Draws one object onto a float canvas `[height, width, 3]`, in place."""
    reach = math.ceil(item.radius * 1.3)
    top, left = max(0, math.floor(item.y) - reach), max(0, math.floor(item.x) - reach)
    patch = canvas[top : math.floor(item.y) + reach + 1, left : math.floor(item.x) + reach + 1]
    dy = (np.arange(top, top + patch.shape[0], dtype=np.float32) + (0.5 - item.y))[:, None] / item.radius
    dx = (np.arange(left, left + patch.shape[1], dtype=np.float32) + (0.5 - item.x)) / item.radius
    cosine, sine = math.cos(item.tilt), math.sin(item.tilt)
    u, v = cosine * dx + sine * dy, cosine * dy - sine * dx
    inside = _inside(item.shape, u, v)
    brightness = item.shade * (1 - np.float32(_PATTERN_CONTRAST) * _pattern(item.texture, u, v))
    colour = np.array(RGB[item.colour], dtype=np.float32)
    if item.colour == "black":  # a darker black would show no pattern
        colour = colour + 50 * (1 - brightness[..., None]) / _PATTERN_CONTRAST
    else:
        colour = colour * brightness[..., None]
    np.copyto(patch, colour, where=inside[..., None])


def _inside(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Says which points of the unit square (`u` to the right, `v` down, -1 to 1) belong to a shape.

    Returns:
        bool, the common shape of `u` and `v`.
    """
    if shape == "circle":
        return u * u + v * v <= 1
    if shape == "square":
        return np.maximum(abs(u), abs(v)) <= 0.9
    if shape == "triangle":
        return (v <= 0.85) & (v >= 2 * abs(u) - 1)
    if shape == "star":
        # A five-pointed star is where at most one of the five lines through its edges is crossed.
        angles = [math.pi * (0.4 * k - 0.5) for k in range(5)]
        crossed = sum((u * math.cos(a) + v * math.sin(a) > 0.36).astype(np.int8) for a in angles)
        return (crossed <= 1) & (u * u + v * v <= 1.1)
    if shape == "cross":
        return (np.minimum(abs(u), abs(v)) <= 0.32) & (np.maximum(abs(u), abs(v)) <= 1)
    if shape == "ring":
        squared = u * u + v * v
        return (squared <= 1) & (squared >= 0.3)
    if shape == "heart":
        lobes = (abs(u) - 0.48) ** 2 + (v + 0.38) ** 2 <= 0.28
        point = (v >= -0.38) & (abs(u) + 0.82 * (v + 0.38) <= 1.0 + 0.12 * (v < 0))
        return lobes | point
    if shape == "moon":
        return (u * u + v * v <= 1) & ((u - 0.5) ** 2 + v * v > 0.6)
    raise ValueError(f"unknown shape {shape!r}")


def _pattern(texture: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Says which points of the unit square take the darker shade of a texture; broadcasts like `_inside`."""
    if texture == "plain":
        return np.zeros(np.broadcast_shapes(u.shape, v.shape), dtype=bool)
    if texture == "striped":
        return (u + 4) % 0.5 < 0.25
    if texture == "dotted":
        return ((u + 4) % 0.5 - 0.25) ** 2 + ((v + 4) % 0.5 - 0.25) ** 2 < 0.025
    if texture == "checked":
        return ((u + 4) % 0.7 < 0.35) ^ ((v + 4) % 0.7 < 0.35)
    raise ValueError(f"unknown texture {texture!r}")
