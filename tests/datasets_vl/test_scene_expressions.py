import re
from collections import Counter

import pytest

from datasets_vl.scene_expressions import refer_to
from datasets_vl.scenes import Scene, SceneObject, Stream, make_scene
from tests.datasets_vl.scene_truth import PLACES, RELATIONS, objects_called, the_object


def meant_by(text: str, scene: Scene) -> list[SceneObject]:
    if found := re.fullmatch(r"the (.+) at the (top|bottom|left|right)", text):
        return [item for item in objects_called(found[1], scene) if PLACES[found[2]](item, scene)]
    if found := re.fullmatch(r"the object (left of|right of|above|below) the (\w+)", text):
        anchor = the_object(found[2], scene)
        return [item for item in scene.objects if RELATIONS[found[1]](item, anchor)]
    return objects_called(text.removeprefix("the "), scene)


@pytest.fixture(scope="module")
def referred() -> list[tuple[Scene, list[tuple[int, list[str]]]]]:
    scenes = [make_scene(index, split=split) for split in ("train", "val") for index in range(600)]
    return [(scene, refer_to(scene, scene.generator(Stream.EXPRESSIONS))) for scene in scenes]


def test_every_expression_fits_exactly_its_object(referred):
    for scene, of_scene in referred:
        for number, texts in of_scene:
            assert all(meant_by(text, scene) == [scene.objects[number]] for text in texts), texts


def test_nearly_all_objects_of_scenes_of_several_are_referred_to(referred):
    objects = sum(len(scene.objects) for scene, _ in referred if len(scene.objects) > 1)
    assert sum(len(of_scene) for _, of_scene in referred) > 0.98 * objects
    assert all(len(of_scene) <= len(scene.objects) > 1 or not of_scene for scene, of_scene in referred)
    expressions = [texts for _, of_scene in referred for _, texts in of_scene]
    assert Counter(map(len, expressions))[3] > 0.3 * len(expressions) and max(map(len, expressions)) == 3
    assert all(len(set(texts)) == len(texts) for texts in expressions)


def test_all_forms_occur(referred):
    texts = [text for _, of_scene in referred for _, texts in of_scene for text in texts]
    forms = {
        "shape": r"the \w+",
        "colour": r"the (?!small|large)\w+ object",
        "both": r"the (?!small|large)\w+ (?!object)\w+",
        "size": r"the (small|large) \w+",
        "place": r"the object at the \w+",
        "shape and place": r"the (?!object)\w+ at the \w+",
        "relation": r"the object (left of|right of|above|below) the \w+",
    }
    counts = {name: sum(bool(re.fullmatch(form, text)) for text in texts) for name, form in forms.items()}
    assert sum(counts.values()) == len(texts) and min(counts.values()) > 0.03 * len(texts), counts
