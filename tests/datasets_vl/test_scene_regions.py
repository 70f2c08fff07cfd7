import dataclasses

import numpy as np
import pytest

from datasets_vl.scene_regions import APPEARANCE, BLOCK_SIZES, DESCRIPTOR_SIZE, SCALES, describe_regions
from datasets_vl.scene_rendering import render
from datasets_vl.scenes import RADII, Scene, SceneObject, make_scene

WHOLE = np.array([[0.0, 0.0, 32.0, 32.0]])


def block(descriptor: np.ndarray, name: str) -> np.ndarray:
    names = list(BLOCK_SIZES)
    start = sum(BLOCK_SIZES[n] for n in names[: names.index(name)])
    part = slice(start, start + BLOCK_SIZES[name])
    return descriptor[..., part] / SCALES[part]


def picture(size: int = 128) -> np.ndarray:
    return np.full((size, size, 3), 128, dtype=np.uint8)


def test_sizes():
    assert DESCRIPTOR_SIZE == 144 == len(SCALES)
    descriptors = describe_regions(render(make_scene(0)), np.array([[0, 0, 30, 20], [5.5, 5.5, 9, 80]]))
    assert descriptors.shape == (2, 144) and descriptors.dtype == np.float32
    assert np.isfinite(descriptors).all()


def test_empty_ground_has_no_figure():
    descriptor = describe_regions(picture(), WHOLE)
    for name in ("colours", "silhouette", "gradients", "texture"):
        assert not block(descriptor, name).any()


def test_a_half_red_square_is_read_as_such():
    pixels = picture()
    pixels[:, :16] = (255, 0, 0)
    descriptor = describe_regions(pixels, WHOLE)[0]
    share, mean, spread = np.split(block(descriptor, "moments"), [1, 4])
    assert share == pytest.approx(0.5)
    np.testing.assert_allclose(mean, [128 / 129, 0, 0], atol=1e-6)
    np.testing.assert_allclose(spread, 0, atol=0.01)
    np.testing.assert_array_equal(block(descriptor, "silhouette").reshape(8, 8)[:, 4:], 0)
    np.testing.assert_array_equal(block(descriptor, "silhouette").reshape(8, 8)[:, :4], 1)
    width, height, root_area, distance = block(descriptor, "extent")
    assert (width, height) == (1, 1)
    assert root_area == pytest.approx(0.5**0.5)
    assert distance == pytest.approx(((63 / 64) / 16 / 3 + 255 / 256 / 12) ** 0.5, rel=0.02)
    np.testing.assert_allclose(block(descriptor, "place"), [2 * 8 / 128 - 1, 2 * 16 / 128 - 1], atol=1e-3)
    across = block(descriptor, "gradients").reshape(8, 4)
    assert across[4].max() > 0.4 > across[0].max() == 0  # the figure ends to the right: its gradient points left


def test_stripes_show_in_the_texture_energy_across_them_only():
    pixels = picture()
    pixels[:32, :32] = (255, 0, 0)
    pixels[:32, 2:32:4] = (155, 0, 0)
    pixels[:32, 3:32:4] = (155, 0, 0)
    energies = block(describe_regions(pixels, WHOLE)[0], "texture").reshape(4, 2)
    assert energies[0, 0] > 0.1
    assert energies[:, 1].max() == 0


def test_place_is_the_only_block_that_a_move_changes():
    descriptors = []
    for x in (40, 72):
        item = SceneObject("star", "blue", "dotted", "large", x, 40, RADII["large"][0])
        scene = Scene("train", 0, 0, 128, 128, (item,))
        descriptors.append(describe_regions(render(scene), np.array([item.box]))[0])
    assert np.abs(descriptors[0][APPEARANCE] - descriptors[1][APPEARANCE]).max() < 0.15
    np.testing.assert_allclose(block(descriptors[1] - descriptors[0], "place"), [0.5, 0], atol=0.02)


@pytest.mark.parametrize(
    ("change", "blocks"),
    [
        ({"colour": "green"}, ["colours", "moments"]),
        ({"shape": "ring"}, ["silhouette", "gradients"]),
        ({"texture": "striped"}, ["texture"]),
        ({"size": "small", "radius": RADII["small"][1]}, ["extent"]),
    ],
)
def test_each_property_of_an_object_shows(change: dict[str, object], blocks: list[str]):
    item = SceneObject("square", "red", "plain", "large", 40, 40, RADII["large"][0])
    described = []
    for one in (item, dataclasses.replace(item, **change)):
        scene = Scene("train", 0, 0, 96, 96, (one,))
        described.append(describe_regions(render(scene), np.array([one.box]))[0])
    for name in blocks:
        difference = block(described[1], name) - block(described[0], name)
        assert np.linalg.norm(difference) > 0.2 * np.linalg.norm(block(described[0], name))
