import dataclasses

import numpy as np
import pytest

from datasets_vl.scene_detector import (
    ATTRIBUTE_CLASSES,
    MAX_SPURIOUS,
    MIN_REGIONS,
    MISS_PROBABILITY,
    OBJECT_CLASSES,
    SECOND_BOX_PROBABILITY,
    SPURIOUS_PROBABILITY,
    SceneDetections,
    detect,
)
from datasets_vl.scene_rendering import render
from datasets_vl.scenes import COLOURS, SHAPES, Scene, make_scene
from processing_vl.boxes_vl import pairwise_iou


@pytest.fixture(scope="module")
def detected() -> list[tuple[Scene, SceneDetections]]:
    return [(scene, detect(scene)) for scene in map(make_scene, range(600))]


def test_regions_are_valid_and_of_the_types_of_the_house(detected):
    for scene, found in detected:
        regions = found.regions
        regions.validate(feature_dim=128)
        assert (regions.image_id, regions.width, regions.height) == (scene.image_id, scene.width, scene.height)
        assert regions.num_classes == 81 == len(OBJECT_CLASSES) + 1
        assert regions.boxes.min() >= 0
        assert (regions.boxes[:, 2:] <= (scene.width, scene.height)).all()
        assert (np.diff(regions.object_scores) <= 0).all()
        assert found.object_indices.shape == (regions.num_regions,)


def test_numbers_of_regions_and_rates(detected):
    counts = [found.regions.num_regions for _, found in detected]
    assert min(counts) == MIN_REGIONS == 3 and max(counts) >= 9
    objects = sum(len(scene.objects) for scene, _ in detected)
    own = [found.object_indices[found.object_indices >= 0] for _, found in detected]
    found_once = sum(len(set(indices.tolist())) for indices in own)
    assert found_once / objects == pytest.approx(1 - MISS_PROBABILITY, abs=0.015)
    second = sum(map(len, own)) - found_once
    assert second / found_once == pytest.approx(SECOND_BOX_PROBABILITY, abs=0.03)
    # Where objects alone make up the least number of regions, spurious boxes are as many as chance has it.
    enough = [found.object_indices for _, found in detected if (found.object_indices >= 0).sum() >= MIN_REGIONS]
    spurious = sum((indices < 0).sum() for indices in enough) / len(enough)
    assert spurious == pytest.approx(MAX_SPURIOUS * SPURIOUS_PROBABILITY, abs=0.15)


def test_boxes_wander_around_their_objects(detected):
    overlaps = []
    for scene, found in detected:
        truth = np.array([item.box for item in scene.objects])
        overlap = pairwise_iou(found.regions.boxes, truth, plus_one=False)
        own = found.object_indices >= 0
        overlaps.extend(overlap[own, found.object_indices[own]])
        assert overlap[~own].max(initial=0) < 0.5
    assert 0.7 < np.mean(overlaps) < 0.9 and min(overlaps) > 0.4 and max(overlaps) < 0.999


def test_class_distributions(detected):
    probabilities = np.concatenate([found.regions.class_probs for _, found in detected])
    assert probabilities.min() >= 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-4)
    ids = np.concatenate([found.regions.object_ids for _, found in detected])
    np.testing.assert_array_equal(ids, probabilities[:, 1:].argmax(axis=1))
    scores = np.concatenate([found.regions.object_scores for _, found in detected])
    np.testing.assert_array_equal(scores, probabilities[:, 1:].max(axis=1))


def test_the_classifier_is_good_and_not_perfect(detected):
    right, right_attribute, background = [], [], []
    for scene, found in detected:
        for row, index in enumerate(found.object_indices):
            if index < 0:
                background.append(found.regions.class_probs[row].argmax() == 0)
                continue
            item = scene.objects[index]
            name = OBJECT_CLASSES[found.regions.object_ids[row]]
            right.append(name == f"{item.colour} {item.shape}")
            attribute = ATTRIBUTE_CLASSES[found.regions.attribute_ids[row]]
            right_attribute.append(attribute == f"{item.size} {item.texture}")
    assert 0.85 < np.mean(right) < 0.99
    assert 0.5 < np.mean(right_attribute) < 0.95
    assert np.mean(background) > 0.9


@pytest.mark.parametrize(("attribute", "names"), [("colour", COLOURS), ("shape", SHAPES)])
def test_a_linear_probe_reads_colour_and_shape_from_features(detected, attribute: str, names: tuple[str, ...]):
    features, labels = [], []
    for scene, found in detected:
        own = found.object_indices >= 0
        features.append(found.regions.features[own])
        labels += [names.index(getattr(scene.objects[k], attribute)) for k in found.object_indices[own]]
    inputs = np.concatenate(features).astype(np.float64)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    labels = np.array(labels)
    half = len(inputs) // 2
    gram = inputs[:half].T @ inputs[:half] + np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs[:half].T @ np.eye(len(names))[labels[:half]])
    assert ((inputs[half:] @ weights).argmax(axis=1) == labels[half:]).mean() > 0.95


def test_features_follow_the_pixels_and_not_the_labels():
    scene = make_scene(2)
    pixels = render(scene)
    item = scene.objects[0]
    relabelled = dataclasses.replace(
        scene, objects=(dataclasses.replace(item, colour="white", shape="ring", texture="plain"), *scene.objects[1:])
    )
    honest, fooled = detect(scene, pixels), detect(relabelled, pixels)
    np.testing.assert_array_equal(honest.regions.features, fooled.regions.features)
    np.testing.assert_array_equal(honest.regions.class_probs, fooled.regions.class_probs)

    repainted = detect(relabelled)
    own = repainted.object_indices == 0
    assert own.any()
    for row in np.flatnonzero(own):
        (before,) = np.flatnonzero((honest.regions.boxes == repainted.regions.boxes[row]).all(axis=1))
        difference = repainted.regions.features[row] - honest.regions.features[before]
        assert np.linalg.norm(difference) > 0.3 * np.linalg.norm(honest.regions.features[before])
        assert OBJECT_CLASSES[repainted.regions.object_ids[row]] == "white ring"


def test_features_are_exact_in_float16_and_not_negative(detected):
    features = np.concatenate([found.regions.features for _, found in detected])
    assert features.dtype == np.float32 and features.min() == 0
    np.testing.assert_array_equal(features, features.astype(np.float16))


@pytest.mark.parametrize("feature_dim", [1, 16, 2048])
def test_any_feature_dimension(feature_dim: int):
    regions = detect(make_scene(0), feature_dim=feature_dim).regions
    assert regions.features.shape == (regions.num_regions, feature_dim)


def test_no_feature_dimension_is_refused():
    with pytest.raises(ValueError, match="feature_dim must be at least 1, got 0"):
        detect(make_scene(0), feature_dim=0)
