from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from datasets_vl.shard_folder import ShardFolder
from datasets_vl.tasks.proposals import ProposalBoxes, verified_proposals
from tests.datasets_vl.tasks.task_regions import BOXES, regions, write_regions

FIRST, SECOND = BOXES


def proposals(**boxes: Sequence[Sequence[float]]) -> ProposalBoxes:
    arrays = {name: np.array(of_image, np.float32) for name, of_image in boxes.items()}
    return ProposalBoxes(source="boxes of D", boxes=arrays)


def test_the_same_boxes_in_any_order_with_and_without_a_global_region() -> None:
    for has_global_region in (False, True):
        proposals(a=[SECOND, FIRST]).check(regions("a", has_global_region=has_global_region))


def test_boxes_may_be_rounded_and_cut_off_at_the_border() -> None:
    rounded = (10.2, 20.0, 110.0, 220.3)
    beyond = (200.0, -8.0, 492.0, 280.0)
    proposals(a=[rounded, beyond]).check(regions("a", [FIRST, (200.0, 0.0, 480.0, 270.0)]))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (
            [FIRST],
            r"image 'a': 1 of 2 regions are none of the boxes of D, the first is \(200\.0, 30\.0, 300\.0, 230\.0\)",
        ),
        (
            [*BOXES, (0, 0, 50, 50)],
            r"image 'a': 1 of 3 of the boxes of D are no regions, the first is \(0\.0, 0\.0, 50",
        ),
        ([FIRST, (200.0, 30.0, 303.0, 230.0)], "image 'a': 1 of 2 regions are none"),  # IoU 0.97
    ],
)
def test_other_boxes_are_refused(boxes: Sequence[Sequence[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        proposals(a=boxes).check(regions("a"))


def test_a_whole_image_that_is_no_global_region_is_a_region_like_others() -> None:
    with pytest.raises(ValueError, match=r"1 of 3 regions are none .* \(0\.0, 0\.0, 480\.0, 270\.0\)"):
        proposals(a=BOXES).check(regions("a", [(0, 0, 480, 270), *BOXES]))


def test_an_image_without_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="image 'a' has no boxes among the boxes of D"):
        proposals(b=BOXES).check(regions("a"))


def test_folders_are_checked_for_the_images_that_count(tmp_path: Path) -> None:
    one = ShardFolder(write_regions(tmp_path / "one", {"a": BOXES, "b": BOXES, "c": [FIRST]}))
    two = ShardFolder(write_regions(tmp_path / "two", {"d": [SECOND]}))
    found = proposals(a=BOXES, b=BOXES, d=[SECOND], c=BOXES)
    assert found.check_folders([one, two], {"d", "a"}) == {
        "source": "boxes of D",
        "regions": [one.fingerprint, two.fingerprint],
    }
    with pytest.raises(ValueError, match="image 'c': 1 of 2 of the boxes of D are no regions"):
        found.check_folders([one, two], {"a", "c"})


def test_a_source_holds_for_the_regions_that_were_verified() -> None:
    entry = {"proposals": {"source": "boxes of D", "regions": ["f1"]}}
    other = {"proposals": {"source": "boxes of E", "regions": ["f1", "f2"]}}
    description = {"splits": {"val": entry, "test": entry, "e": other, "bare": {}}}
    assert verified_proposals(description, ["val"], "f1") == "boxes of D"
    assert verified_proposals(description, ["val", "test"], "f1") == "boxes of D"
    for splits, regions_read in ((["val"], "f2"), (["bare"], "f1"), (["val", "bare"], "f1"), (["val", "e"], "f1")):
        assert verified_proposals(description, splits, regions_read) is None
