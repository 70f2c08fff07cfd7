import re
from collections import Counter

import pytest

from datasets_vl.scene_statements import PAIRS_PER_SET, SENTENCES_PER_SET, StatementSet, make_statements
from datasets_vl.scenes import Scene
from tests.datasets_vl.scene_truth import objects_called


def is_true(text: str, left: Scene, right: Scene) -> bool:
    if found := re.fullmatch(r"The (left|right) image contains an? (.+)\.", text):
        return bool(objects_called(found[2], {"left": left, "right": right}[found[1]]))
    if found := re.fullmatch(r"There is no (.+) in the left image\.", text):
        return not objects_called(found[1], left)
    if found := re.fullmatch(r"Both images contain an? (.+)\.", text):
        return bool(objects_called(found[1], left)) and bool(objects_called(found[1], right))
    if found := re.fullmatch(r"Only one of the images contains an? (.+)\.", text):
        return bool(objects_called(found[1], left)) is not bool(objects_called(found[1], right))
    difference = len(left.objects) - len(right.objects)
    return {
        "There are more objects in the left image than in the right image.": difference > 0,
        "There are as many objects in the left image as in the right image.": difference == 0,
    }[text]


@pytest.fixture(scope="module")
def sets() -> list[StatementSet]:
    return [make_statements(number, split=split) for split in ("train", "val") for number in range(150)]


def test_truths(sets):
    for of_set in sets:
        for text, truths in of_set.sentences:
            assert [is_true(text, left, right) for left, right in of_set.pairs] == list(truths), text


def test_every_sentence_is_true_of_half_of_its_pairs(sets):
    """So whoever does not look at the pictures is right exactly half of the time."""
    for of_set in sets:
        assert len(of_set.pairs) == PAIRS_PER_SET == 4
        assert all(sum(truths) == 2 for _, truths in of_set.sentences)


def test_a_set_has_several_different_sentences(sets):
    assert Counter(len(of_set.sentences) for of_set in sets)[SENTENCES_PER_SET] > 0.95 * len(sets)
    assert all(len({text for text, _ in of_set.sentences}) == len(of_set.sentences) for of_set in sets)


def test_all_forms_occur(sets):
    texts = [text for of_set in sets for text, _ in of_set.sentences]
    openings = Counter(" ".join(text.split()[:2]) for text in texts)
    assert set(openings) == {"The left", "The right", "There is", "Both images", "Only one", "There are"}
    assert min(openings.values()) > 50


def test_no_picture_is_in_two_sets_and_ids_are_nlvr2_s(sets):
    ids = [scene.image_id for of_set in sets for pair in of_set.pairs for scene in pair]
    assert len(set(ids)) == len(ids)
    assert (sets[0].image_id(2, 1), sets[-1].image_id(0, 0)) == ("train-0-2-img1", "val-149-0-img0")


def test_a_set_depends_on_its_arguments_only():
    assert make_statements(3, split="val", seed=5) == make_statements(3, split="val", seed=5)
    assert make_statements(3, split="val", seed=5).sentences != make_statements(3, split="val", seed=6).sentences
