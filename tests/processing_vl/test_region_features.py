from __future__ import annotations

import dataclasses
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch

from processing_vl.region_features import InvalidRegionFeatures
from tests.random_regions import random_regions


def test_counts_are_read_from_the_arrays() -> None:
    regions = random_regions(3, feature_dim=8, num_classes=5)
    assert (regions.num_regions, regions.feature_dim, regions.num_classes) == (3, 8, 5)
    assert random_regions(3, class_probs=None).num_classes is None
    regions.validate()
    regions.validate(feature_dim=8)


BOXES = np.array([[0, 0, 640, 480], [10, 20, 30, 40]], dtype=np.float32)


def box(*corners: float) -> np.ndarray:
    return np.array([BOXES[0], corners], dtype=np.float32)


@pytest.mark.parametrize("good", [box(-1, -1, 641, 481), box(0, 0, 0.01, 0.01), box(639.5, 479.5, 640, 480)])
def test_boxes_may_leave_the_image_by_a_pixel(good: np.ndarray) -> None:
    random_regions(2, boxes=good).validate()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"boxes": box(10, 20, 10, 40)}, r"box \[10.0, 20.0, 10.0, 40.0\] of region 1 is empty, expected x2 > x1"),
        ({"boxes": box(10, 40, 30, 20)}, "of region 1 is empty"),
        ({"boxes": box(-1.5, 0, 30, 20)}, r"region 1 leaves the image of 640 x 480 pixels by more than a pixel"),
        ({"boxes": box(0, 0, 641.5, 20)}, "leaves the image"),
        ({"boxes": box(0, 0, 30, 481.5)}, "leaves the image"),
        ({"boxes": box(0, 0, np.inf, 20)}, "boxes of region 1 holds a number that is not finite"),
        ({"boxes": BOXES[:1]}, "boxes has 1 rows, features have 2"),
        ({"boxes": np.zeros((2, 5), np.float32)}, r"boxes have 5 numbers a region, expected 4"),
        (
            {"boxes": BOXES.astype(np.float64)},
            r"boxes is float64, expected float32: use np\.asarray\(boxes, np\.float32\)$",
        ),
        ({"features": np.array([[1, 2], [np.nan, 3]], np.float32)}, "features of region 1 holds a number that is not"),
        ({"features": np.zeros(2, np.float32)}, r"features has shape \[2\], expected 2 dimensions"),
        ({"features": np.zeros((0, 8), np.float32), "boxes": BOXES[:0]}, "no regions, expected at least one"),
        (
            {"features": np.zeros((2, 8), np.int64)},
            r"features is int64, expected float16 or float32: use np\.asarray\(features, np\.float32\)$",
        ),
        ({"features": torch.zeros(2, 8)}, r"features is a Tensor, expected .*: use \.detach\(\)\.cpu\(\)\.numpy\(\)$"),
        ({"features": np.zeros((2, 0), np.float32)}, "0 numbers a region"),
        ({"class_probs": np.array([[0.5, 0.5], [-0.1, 1.1]], np.float32)}, "negative numbers"),
        ({"class_probs": np.ones((3, 2), np.float32)}, "class_probs has 3 rows, features have 2"),
        ({"object_ids": np.zeros(2, np.int32)}, r"object_ids is int32, .*: use np\.asarray\(object_ids, np\.int64\)$"),
        ({"object_ids": np.zeros((2, 1), np.int64)}, r"object_ids has shape \[2, 1\], expected 1 dimension$"),
        ({"object_scores": np.array([1, np.nan], np.float32)}, "object_scores of region 1 holds a number that is not"),
        ({"attribute_ids": np.zeros(1, np.int64)}, "attribute_ids has 1 rows"),
        ({"width": 0}, "the image size is 0 x 480"),
        ({"width": 640.0}, r"width is 640\.0, expected a whole number of pixels \(int\)"),
        ({"height": True}, "height is True, expected a whole number of pixels"),
        ({"height": np.array(480)}, r"height is array\(480\), expected a whole number of pixels"),
        ({"boxes": [[0, 0, 9, 9]] * 2}, "boxes is a list, expected a numpy array of float32"),
        ({"boxes": None}, "boxes is missing, expected a numpy array of float32"),
        ({"features": [[1.0], [2.0]]}, "features is a list, expected a numpy array of float16 or float32"),
        ({"object_ids": [1, 2]}, "object_ids is a list, expected a numpy array of int64"),
        (
            {"class_probs": np.array([[0.5, 0.5], [0.7, 0.4]], np.float32)},
            r"class_probs of region 1 add up to 1\.1, expected at most 1: one distribution over all classes",
        ),
        ({"class_probs": np.full((2, 5), 6e4, np.float16)}, r"class_probs of region 0 add up to 3e\+05, expected"),
        ({"object_ids": None}, "object_scores are confidences in object_ids, which are missing"),
        ({"attribute_ids": None}, "attribute_scores are confidences in attribute_ids, which are missing"),
        (
            {"has_global_region": True, "boxes": box(0, 0, 9, 9)[::-1]},
            r"box \[0.0, 0.0, 9.0, 9.0\] of region 0 should be the whole image of 640 x 480 pixels",
        ),
    ],
)
def test_what_no_model_should_see_is_refused(changes: dict, reason: str) -> None:
    regions = dataclasses.replace(random_regions(2, boxes=BOXES, image_id="cat"), **changes)
    with pytest.raises(InvalidRegionFeatures, match=reason) as caught:
        regions.validate()
    assert caught.value.image_id == "cat"
    assert str(caught.value) == f"image 'cat': {caught.value.reason}"


SHARES = np.array([[0, 0, 1, 1], [0.1, 0.2, 0.4, 1.005]], dtype=np.float32)


@pytest.mark.parametrize("changes", [{}, {"has_global_region": True}, {"width": 3, "height": 1}])
def test_boxes_that_are_shares_of_the_image_are_told_from_pixels(changes: dict) -> None:
    regions = random_regions(2, **{"boxes": SHARES, **changes})
    expected = "all boxes lie between 0 and 1 in an image of .*: they look like shares of the image, expected pixels"
    with pytest.raises(InvalidRegionFeatures, match=expected):
        regions.validate()
    corners = np.array([regions.width, regions.height] * 2, dtype=np.float32)
    dataclasses.replace(regions, boxes=SHARES.clip(0, 1) * corners).validate()


@pytest.mark.parametrize(
    ("boxes", "changes"),
    [
        (SHARES[:1], {}),
        (SHARES, {"width": 2, "height": 2}),
        (np.array([[0, 0, 1, 1], [0, 0, 1.5, 1]], np.float32), {}),
        (np.array([[0, 0, 1, 1], [3, 5, 4, 6]], np.float32), {}),
    ],
)
def test_small_boxes_are_no_shares(boxes: np.ndarray, changes: dict) -> None:
    random_regions(len(boxes), boxes=boxes, **changes).validate()


@pytest.mark.parametrize("image_id", ["", None, 7, b"cat"])
def test_an_image_without_a_proper_name_is_refused(image_id: Any) -> None:
    with pytest.raises(InvalidRegionFeatures, match=re.escape(f"image_id is {image_id!r}, expected a text that is")):
        random_regions(2, image_id=image_id).validate()


def test_numbers_of_numpy_and_missing_confidences_are_fine() -> None:
    random_regions(2, width=np.int32(640), height=np.int64(480), object_scores=None, attribute_scores=None).validate()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_distributions_may_be_rounded_and_lack_the_background(dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(0)
    for sharpness in (0.01, 1, 100):
        probs = rng.dirichlet(np.full(1601, sharpness), size=100).astype(dtype)
        random_regions(100, class_probs=probs).validate()
        random_regions(100, class_probs=probs[:, 1:]).validate()


def test_a_dimension_that_does_not_fit_is_named_with_the_expected_one() -> None:
    with pytest.raises(InvalidRegionFeatures, match="features have 8 numbers a region, expected 2048"):
        random_regions(2).validate(feature_dim=2048)


def test_the_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InvalidRegionFeatures("cat", "no whiskers")))
    assert (error.image_id, error.reason, str(error)) == ("cat", "no whiskers", "image 'cat': no whiskers")
