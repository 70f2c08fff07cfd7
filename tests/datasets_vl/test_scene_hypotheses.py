import re
from collections import Counter

import pytest

from datasets_vl.scene_hypotheses import LABELS, suppose
from datasets_vl.scenes import Scene, Stream, make_scene
from tests.datasets_vl.scene_truth import RELATIONS, accuracy_from_words_alone, objects_called


def true_label(text: str, scene: Scene) -> str:
    if found := re.fullmatch(r"The (\w+) is (left of|right of|above|below) the (\w+)\.", text):
        first, second = (objects_called(found[k], scene) for k in (1, 3))
        if not first or not second:
            return "neutral"
        ((first,), (second,)) = first, second
        return "entailment" if RELATIONS[found[2]](first, second) else "contradiction"
    found = re.fullmatch(r"The (\w+ object) is a (\w+)\.", text) or re.fullmatch(r"The (\w+) is (\w+)\.", text)
    meant = objects_called(found[1], scene)
    if not meant:
        return "neutral"
    (item,) = meant
    return "entailment" if found[2] in (item.colour, item.shape) else "contradiction"


@pytest.fixture(scope="module")
def supposed() -> list[tuple[Scene, str, str]]:
    scenes = [make_scene(index, split=split) for split in ("train", "val") for index in range(1500)]
    return [
        (scene, text, label) for scene in scenes for text, label in suppose(scene, scene.generator(Stream.HYPOTHESES))
    ]


def test_labels_are_true(supposed):
    assert not [(text, label) for scene, text, label in supposed if true_label(text, scene) != label]


def test_nearly_every_scene_has_one_of_each(supposed):
    by_scene = Counter(scene.image_id for scene, _, _ in supposed)
    assert set(by_scene.values()) == {3} and len(by_scene) > 0.98 * 3000
    assert set(Counter(label for _, _, label in supposed)) == set(LABELS)
    assert len(set(Counter(label for _, _, label in supposed).values())) == 1


def test_all_forms_occur(supposed):
    forms = Counter("object" if "object" in text else "of" if " the " in text else "is" for _, text, _ in supposed)
    assert min(forms.values()) > 0.2 * len(supposed) and len(forms) == 3


def test_the_words_do_not_tell_the_label(supposed):
    pairs = [(text, label) for _, text, label in supposed]
    assert accuracy_from_words_alone(pairs[::2], pairs[1::2]) < 0.38
    single = [(word, label) for text, label in pairs for word in text.split()]
    assert accuracy_from_words_alone(single[::2], single[1::2]) < 0.38
