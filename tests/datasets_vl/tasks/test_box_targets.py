from __future__ import annotations

import numpy as np
import pytest

from datasets_vl.tasks.box_targets import distribution_over_boxes, regions_of_objects, scores_of_box
from tests.datasets_vl.tasks.task_regions import regions

# 10 x 10 pixels in the geometric convention, at offsets that give simple overlaps with the first one.
SQUARES = [(0, 0, 10, 10), (5, 0, 15, 10), (0, 2, 10, 12), (100, 100, 110, 110)]


def test_scores_are_overlaps_in_either_convention() -> None:
    image = regions("a", SQUARES)
    plain = scores_of_box(image, SQUARES[0], plus_one=False)
    assert plain.dtype == np.float32
    assert plain.tolist() == pytest.approx([1, 50 / 150, 80 / 120, 0])
    plus_one = scores_of_box(image, SQUARES[0])
    assert plus_one.tolist() == pytest.approx([1, 66 / 176, 99 / 143, 0])
    assert scores_of_box(image, SQUARES[0], zero_below=0.5).tolist() == pytest.approx([1, 0, 99 / 143, 0])
    assert scores_of_box(image, SQUARES[0], zero_below=0.7).tolist() == [1, 0, 0, 0]


def test_regions_of_any_box_share_a_phrase() -> None:
    image = regions("a", SQUARES)
    assert distribution_over_boxes(image, [SQUARES[0]]).tolist() == [0.5, 0, 0.5, 0]
    both = distribution_over_boxes(image, [SQUARES[0], SQUARES[3]])
    assert both.tolist() == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert distribution_over_boxes(image, [SQUARES[0]], minimum_iou=0.9).tolist() == [1, 0, 0, 0]
    assert distribution_over_boxes(image, []).tolist() == [0, 0, 0, 0]
    assert distribution_over_boxes(image, [(200, 200, 210, 210)]).tolist() == [0, 0, 0, 0]


def test_the_threshold_itself_counts() -> None:
    image = regions("a", [(0, 0, 10, 10)])
    half = [(0, 0, 10, 5)]
    assert distribution_over_boxes(image, half).tolist() == [1]
    # 46 of 100, or 61.6 of 121 where a box covers the pixels of both its corners.
    assert distribution_over_boxes(image, [(0, 0, 10, 4.6)]).tolist() == [0]
    assert distribution_over_boxes(image, [(0, 0, 10, 4.6)], plus_one=True).tolist() == [1]
    assert regions_of_objects(image, half) == [0]
    assert regions_of_objects(image, half, minimum_iou=0.51) == [None]


def test_an_object_is_the_region_that_overlaps_it_most() -> None:
    image = regions("a", SQUARES)
    objects = [(100, 100, 110, 109), (1, 0, 11, 10), (300, 0, 310, 10)]
    assert regions_of_objects(image, objects) == [3, 0, None]
    with_whole_image = regions("a", SQUARES, has_global_region=True)
    assert regions_of_objects(with_whole_image, objects) == [4, 1, None]


def test_a_whole_image_is_no_object() -> None:
    image = regions("a", [], has_global_region=True)
    assert regions_of_objects(image, [(0, 0, 480, 270)]) == [None]
    assert regions_of_objects(image, []) == []


def test_annotated_boxes_as_regions_are_linked_exactly() -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 10, 10), (5, 0, 15, 10), (0, 0, 10, 10)]
    assert regions_of_objects(regions("a", boxes), boxes) == [0, 1, 2, 3]
    assert regions_of_objects(regions("a", boxes, has_global_region=True), boxes) == [1, 2, 3, 4]
    # Fewer regions than objects: the equal ones share the first.
    assert regions_of_objects(regions("a", boxes[:1]), boxes) == [0, 0, None, 0]
