import dataclasses

import numpy as np
import pytest

from datasets_vl.scene_rendering import RGB, render
from datasets_vl.scenes import COLOURS, RADII, SHAPES, TEXTURES, Scene, SceneObject, make_scene


def picture_of(*objects: SceneObject) -> np.ndarray:
    return render(Scene("train", 0, 0, 96, 96, objects)).astype(int)


def one(shape: str = "square", colour: str = "red", texture: str = "plain", size: str = "large") -> SceneObject:
    return SceneObject(shape, colour, texture, size, 48, 48, RADII[size][0])


def silhouette(item: SceneObject) -> np.ndarray:
    return np.abs(picture_of(item) - picture_of()).max(axis=-1) > 0


def test_size_type_and_repeatability():
    scene = make_scene(0)
    pixels = render(scene)
    assert pixels.dtype == np.uint8 and pixels.shape == (scene.height, scene.width, 3)
    assert np.array_equal(pixels, render(scene))


@pytest.mark.parametrize("colour", COLOURS)
def test_an_object_shows_its_colour(colour: str):
    middle = picture_of(one(colour=colour))[40:57, 40:57].mean(axis=(0, 1))
    assert np.abs(middle - RGB[colour]).max() < 2


@pytest.mark.parametrize("shape", SHAPES)
def test_a_silhouette_fills_its_box_and_nothing_else(shape: str):
    mask = silhouette(one(shape))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    tight = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    nominal = np.array(one(shape).box)
    corners = np.minimum(tight[2:], nominal[2:]) - np.maximum(tight[:2], nominal[:2])
    union = np.prod(tight[2:] - tight[:2]) + np.prod(nominal[2:] - nominal[:2]) - corners.prod()
    assert corners.prod() / union > 0.65
    assert not mask[:33].any() and not mask[63:].any()


def test_shapes_differ():
    masks = [silhouette(one(shape)) for shape in SHAPES]
    for k, mask in enumerate(masks):
        for other in masks[:k]:
            assert (mask & other).sum() / (mask | other).sum() < 0.9


def test_areas():
    radius = one().radius
    assert silhouette(one("circle")).sum() == pytest.approx(np.pi * radius**2, rel=0.03)
    assert silhouette(one("square")).sum() == pytest.approx((1.8 * radius) ** 2, rel=0.06)
    assert silhouette(one("ring")).sum() == pytest.approx(0.7 * np.pi * radius**2, rel=0.04)


@pytest.mark.parametrize("colour", COLOURS)
def test_textures_differ_and_plain_is_even(colour: str):
    pictures = [picture_of(one(colour=colour, texture=texture))[39:58, 39:58] for texture in TEXTURES]
    noise = pictures[0].std(axis=(0, 1)).max()
    assert noise < 6
    for k, picture in enumerate(pictures):
        for other in pictures[:k]:
            assert np.abs(picture - other).mean() > 3


def test_only_the_object_changes_with_its_colour():
    scene = make_scene(1)
    repainted = dataclasses.replace(
        scene, objects=(dataclasses.replace(scene.objects[0], colour="white"), *scene.objects[1:])
    )
    assert scene.objects[0].colour != "white"
    changed = (render(scene) != render(repainted)).any(axis=-1)
    x1, y1, x2, y2 = (round(n) for n in scene.objects[0].box)
    assert changed[y1 : y2 + 1, x1 : x2 + 1].sum() == changed.sum() > 20


@pytest.mark.parametrize(("field", "value"), [("shape", "blob"), ("texture", "furry")])
def test_unknown_looks_are_refused(field: str, value: str):
    with pytest.raises(ValueError, match=f"unknown {field} '{value}'"):
        picture_of(dataclasses.replace(one(), **{field: value}))
