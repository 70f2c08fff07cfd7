from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing_vl.boxes_vl import pairwise_iou, region_locations, whole_image_location

BOX = np.array([[64, 120, 192, 360]], dtype=np.float32)  # 128 x 240 pixels of 640 x 480


@pytest.mark.parametrize(
    ("location_size", "expected"),
    [
        (4, [0.1, 0.25, 0.3, 0.75]),
        (5, [0.1, 0.25, 0.3, 0.75, 0.1]),
        (7, [0.1, 0.25, 0.3, 0.75, 0.2, 0.5, 0.1]),
    ],
)
def test_locations_of_a_known_box(location_size, expected):
    locations = region_locations(BOX, width=640, height=480, location_size=location_size)
    assert locations.dtype == np.float32
    np.testing.assert_allclose(locations, [expected], rtol=1e-6)


@pytest.mark.parametrize("location_size", [4, 5, 7])
def test_the_whole_image_is_a_box_from_corner_to_corner(location_size):
    expected = [0, 0, 1, 1, 1, 1, 1][:location_size]
    np.testing.assert_array_equal(whole_image_location(location_size), np.array(expected, dtype=np.float32))


def test_unknown_location_size():
    with pytest.raises(ValueError, match=re.escape("location_size must be one of (4, 5, 7), got 6")):
        region_locations(BOX, 640, 480, location_size=6)


@pytest.mark.parametrize(
    ("code_base", "reader", "location_size"),
    [
        ("beta", "reader", 5),
        ("mt", "reader", 5),
        ("volta", "reader_None_4", 4),
        ("volta", "reader_None_5", 5),
        ("volta", "reader_None_7", 7),
        ("volta", "reader_first_4", 4),
        ("volta", "reader_last_5", 5),
        ("volta", "reader_first_7", 7),
    ],
)
def test_locations_of_the_original_readers(loader_record, code_base, reader, location_size):
    arrays = loader_record(code_base).arrays
    width, height = arrays["inputs/image_wh"]
    own = region_locations(arrays["inputs/boxes"], width, height, location_size)
    whole = whole_image_location(location_size)[None]
    expected = {"reader": [whole, own], "first": [whole, own], "last": [own, whole], "None": [own]}
    place = reader.split("_")[1] if "_" in reader else reader
    np.testing.assert_allclose(arrays[f"outputs/{reader}.boxes"], np.concatenate(expected[place]), atol=1e-6)


def test_iou_of_known_boxes():
    first, second = [[0, 0, 9, 9]], [[5, 0, 14, 9], [0, 0, 9, 9], [100, 100, 120, 120]]
    np.testing.assert_allclose(pairwise_iou(first, second), [[50 / 150, 1, 0]])
    np.testing.assert_allclose(pairwise_iou(first, second, plus_one=False), [[36 / 126, 1, 0]])


def test_iou_of_boxes_without_area_is_zero():
    np.testing.assert_array_equal(pairwise_iou([[3, 3, 3, 3]], [[3, 3, 3, 3]], plus_one=False), [[0]])


def test_iou_with_nothing():
    assert pairwise_iou(BOX, np.empty((0, 4))).shape == (1, 0)


@pytest.mark.parametrize("code_base", ["mt", "volta"])
def test_iou_of_the_original_loaders(loader_record, code_base):
    arrays = loader_record(code_base).arrays
    boxes = arrays["inputs/mask.boxes"]
    np.testing.assert_allclose(pairwise_iou(boxes, boxes), arrays["outputs/mask.iou"], atol=1e-6)


pixel_boxes = st.tuples(*[st.integers(0, 7)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@given(st.lists(pixel_boxes, min_size=1, max_size=4), st.lists(pixel_boxes, min_size=1, max_size=4))
def test_iou_counts_pixels(boxes, others):
    def pixels(box):
        return {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)}

    expected = [[len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b)) for b in others] for a in boxes]
    np.testing.assert_allclose(pairwise_iou(boxes, others), expected, rtol=1e-12)
