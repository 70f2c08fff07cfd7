"""Region descriptors of the built-in scenes: what the pixels in a box show, in 144 numbers.

Nothing here knows a scene's ground truth. Hand-made statistics stand in for the layers of a convolutional network:
colour histograms and moments, a coarse silhouette, histograms of gradient orientations, texture energies, and where in
the picture the silhouette lies.
"""

from __future__ import annotations

import numpy as np

_GRID = 16
_SILHOUETTE = 8
_ORIENTATIONS = 8
_LAGS = (1, 2, 3, 4)
_COLOUR_LEVELS = np.array([0.1, 0.5, 0.9], dtype=np.float32)

BLOCK_SIZES = {"colours": 27, "moments": 7, "silhouette": 64, "gradients": 32, "texture": 8, "extent": 4, "place": 2}
"""Numbers in each block of a descriptor, in order."""

DESCRIPTOR_SIZE = sum(BLOCK_SIZES.values())

_BLOCK_SCALES = {
    "colours": 4.0,
    "moments": 4.0,
    "silhouette": 0.9,
    "gradients": 2.5,
    "texture": 10.0,
    "extent": 2.5,
    "place": 1.0,
}
SCALES = np.concatenate([np.full(size, _BLOCK_SCALES[name], dtype=np.float32) for name, size in BLOCK_SIZES.items()])
APPEARANCE = slice(0, DESCRIPTOR_SIZE - BLOCK_SIZES["place"])
"""The part of a descriptor that does not say where in the picture the box lies."""


def describe_regions(pixels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Describes what the picture shows in each box.

    Args:
        pixels: uint8 `[height, width, 3]`.
        boxes: `[R, 4]`, corners x1 y1 x2 y2 in pixels, inside the picture and with an area.

    Returns:
        float32 `[R, DESCRIPTOR_SIZE]`, the blocks of `BLOCK_SIZES` after each other, scaled to similar weight.
    """
    height, width = pixels.shape[:2]
    ground = np.median(pixels[::4, ::4].reshape(-1, 3), axis=0).astype(np.float32) / 255
    steps = (np.arange(_GRID) + 0.5) / _GRID
    across = boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps
    down = boxes[:, 1:2] + (boxes[:, 3:4] - boxes[:, 1:2]) * steps
    columns = across.astype(np.int64).clip(0, width - 1)
    rows = down.astype(np.int64).clip(0, height - 1)
    crops = pixels[rows[:, :, None], columns[:, None, :]].astype(np.float32) / 255

    contrast = np.abs(crops - ground).max(axis=-1)
    figure = ((contrast - 0.10) * 12).clip(0, 1)
    share = figure.mean(axis=(1, 2))
    weights = (figure / (figure.sum(axis=(1, 2), keepdims=True) + 1)).reshape(len(crops), -1, 1)
    colours = crops.reshape(len(crops), -1, 3)
    luminance = crops.mean(axis=-1)

    mean = (weights * colours).sum(axis=1)
    spread = np.sqrt((weights * (colours - mean[:, None]) ** 2).sum(axis=1))
    descriptor = [
        _colour_histogram(colours, weights),
        share[:, None],
        mean,
        spread,
        _pool(figure, _SILHOUETTE),
        _gradient_histogram(figure),
        _texture_energy(luminance, figure),
        *_extent_and_place(figure, across / width, down / height, boxes),
    ]
    return np.concatenate(descriptor, axis=1, dtype=np.float32) * SCALES


def _colour_histogram(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The share of the figure near 3 x 3 x 3 points of the colour cube: `[R, P, 3]`, `[R, P, 1]` -> `[R, 27]`."""
    near = (1 - np.abs(colours[..., None] - _COLOUR_LEVELS) * 2.5).clip(0, None)
    red, green, blue = near[:, :, 0] * weights, near[:, :, 1], near[:, :, 2]
    pairs = (green[..., None] * blue[..., None, :]).reshape(*green.shape[:2], 9)
    return (red.transpose(0, 2, 1) @ pairs).reshape(len(colours), 27)


def _pool(grid: np.ndarray, size: int) -> np.ndarray:
    """Averages a map `[R, G, G]` over `size` x `size` equal squares, flattened."""
    side = grid.shape[1] // size
    rows = np.add.reduceat(grid, np.arange(0, grid.shape[1], side), axis=1)
    squares = np.add.reduceat(rows, np.arange(0, grid.shape[1], side), axis=2)
    return (squares / side**2).reshape(len(grid), -1)


def _gradient_histogram(figure: np.ndarray) -> np.ndarray:
    """Strength of the silhouette's gradients in 8 directions in each quarter of the box: `[R, G, G]` -> `[R, 32]`."""
    smooth = figure[:, :-1, :-1] + figure[:, 1:, :-1] + figure[:, :-1, 1:] + figure[:, 1:, 1:]
    right = np.zeros_like(figure)
    down = np.zeros_like(figure)
    right[:, :-1, 1:-1] = (smooth[:, :, 1:] - smooth[:, :, :-1]) / 4
    down[:, 1:-1, :-1] = (smooth[:, 1:] - smooth[:, :-1]) / 4
    angles = 2 * np.pi * np.arange(_ORIENTATIONS) / _ORIENTATIONS
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    strengths = directions @ np.stack([right, down], axis=1).reshape(len(figure), 2, -1)
    squares = strengths.clip(0, None) ** 2
    quarters = squares.reshape(len(figure) * _ORIENTATIONS, *figure.shape[1:])
    return np.sqrt(8 * _pool(quarters, 2)).reshape(len(figure), -1)


def _texture_energy(luminance: np.ndarray, figure: np.ndarray) -> np.ndarray:
    """Mean change of brightness inside the figure at 4 distances, across and down: two `[R, G, G]` -> `[R, 8]`."""
    energies = []
    for lag in _LAGS:
        for before, after in ((np.s_[:, :, :-lag], np.s_[:, :, lag:]), (np.s_[:, :-lag], np.s_[:, lag:])):
            both = figure[before] * figure[after]
            change = np.abs(luminance[after] - luminance[before]) * both
            energies.append(change.sum(axis=(1, 2)) / (both.sum(axis=(1, 2)) + 1))
    return np.stack(energies, axis=1)


def _extent_and_place(
    figure: np.ndarray, across: np.ndarray, down: np.ndarray, boxes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Size of the figure in pixels and centre of the figure in the picture.

    Args:
        figure: `[R, G, G]` in [0, 1].
        across: `[R, G]`, horizontal place of each sample as a share of the picture's width.
        down: `[R, G]`, likewise vertical.
        boxes: `[R, 4]` in pixels.

    Returns:
        `[R, 4]` (width and height of the box, root of the figure's area, root mean square distance from its centre, in
        units of 32 pixels) and `[R, 2]` (x and y, -1 to 1).
    """
    sides = (boxes[:, 2:] - boxes[:, :2]) / 32
    mass = figure.sum(axis=(1, 2)) + 1e-3
    columns, rows = figure.sum(axis=1) / mass[:, None], figure.sum(axis=2) / mass[:, None]
    x, y = (columns * across).sum(axis=1), (rows * down).sum(axis=1)
    grid = (np.arange(_GRID) + 0.5) / _GRID
    moments = [(share * grid).sum(axis=1) for share in (columns, rows)]
    variances = [
        (share * (grid - m[:, None]) ** 2).sum(axis=1) for share, m in zip((columns, rows), moments, strict=True)
    ]
    distance = np.sqrt(variances[0] * sides[:, 0] ** 2 + variances[1] * sides[:, 1] ** 2)
    area = np.sqrt(figure.mean(axis=(1, 2)) * sides.prod(axis=1))
    extent = np.concatenate([sides, area[:, None], distance[:, None]], axis=1)
    return extent, np.stack([2 * x - 1, 2 * y - 1], axis=1)
