import re
from collections import Counter

import pytest

from datasets_vl.scene_questions import KINDS, NUMBERS, YES_NO, SceneQuestion, answers_of_ten, ask
from datasets_vl.scenes import COLOURS, SHAPES, Scene, Stream, make_scene
from tests.datasets_vl.scene_truth import RELATIONS, accuracy_from_words_alone, objects_called, the_object

DIRECTION = "left of|right of|above|below"


def true_answer(text: str, scene: Scene) -> str:
    if asked := re.fullmatch(r"What color is the (\w+)\?", text):
        return the_object(asked[1], scene).colour
    if asked := re.fullmatch(r"What shape is the (\w+ object)\?", text):
        return the_object(asked[1], scene).shape
    if asked := re.fullmatch(rf"What shape is ({DIRECTION}) the (\w+)\?", text):
        anchor = the_object(asked[2], scene)
        (item,) = (item for item in scene.objects if RELATIONS[asked[1]](item, anchor))
        return item.shape
    if asked := re.fullmatch(r"Is there (an?) (.+)\?", text):
        assert (asked[1] == "an") == (asked[2][0] in "aeiou")
        return "yes" if objects_called(asked[2], scene) else "no"
    if asked := re.fullmatch(rf"Is the (\w+) ({DIRECTION}) the (\w+)\?", text):
        return "yes" if RELATIONS[asked[2]](the_object(asked[1], scene), the_object(asked[3], scene)) else "no"
    assert text == "How many objects are there?"
    return str(len(scene.objects))


def asked_of(split: str, count: int) -> list[tuple[Scene, SceneQuestion]]:
    scenes = [make_scene(index, split=split) for index in range(count)]
    return [(scene, question) for scene in scenes for question in ask(scene, scene.generator(Stream.QUESTIONS))]


@pytest.fixture(scope="module")
def asked() -> list[tuple[Scene, SceneQuestion]]:
    return asked_of("train", 3000)


def test_answers_are_true(asked):
    wrong = [(q.text, q.answer) for scene, q in asked if true_answer(q.text, scene) != q.answer]
    assert not wrong


def test_all_kinds_and_answers_occur(asked):
    kinds = Counter(question.kind for _, question in asked)
    assert set(kinds) == set(KINDS) and min(kinds.values()) > 0.1 * len(asked)
    for kind, answers in {"colour": COLOURS, "shape": SHAPES, "count": NUMBERS, "existence": YES_NO}.items():
        of_kind = [question for _, question in asked if question.kind == kind]
        assert {question.answer for question in of_kind} == set(answers) == set(of_kind[0].answers)
        assert {question.answer_type for question in of_kind} == {
            {"count": "number", "existence": "yes/no"}.get(kind, "other")
        }


def test_the_questions_of_a_scene_differ_and_their_openings_are_theirs(asked):
    by_scene = Counter((scene.image_id, question.kind) for scene, question in asked)
    assert max(by_scene.values()) == 1
    assert all(question.text.lower().startswith(question.opening) for _, question in asked)


@pytest.mark.parametrize(
    ("kind", "at_most"),
    [("colour", 0.13), ("shape", 0.16), ("neighbour", 0.19), ("existence", 0.54), ("relation", 0.54), ("count", 0.29)],
)
def test_the_words_do_not_tell_the_answer(asked, kind: str, at_most: float):
    """Chance is 0.1, 0.125, 0.143, 0.5, 0.5 and 0.25 (`COUNTS`)."""
    pairs = [(question.text, question.answer) for _, question in asked if question.kind == kind]
    assert accuracy_from_words_alone(pairs[::2], pairs[1::2]) < at_most


def test_the_words_alone_answer_less_than_a_third_of_the_held_out_questions(asked):
    seen, unseen = ([(q.text, q.answer) for _, q in found] for found in (asked, asked_of("val", 1000)))
    assert accuracy_from_words_alone(seen, unseen) < 0.33


def test_absent_things_are_asked_for_in_parts_that_are_there(asked):
    """Who only looks for the colour somewhere, or for the shape somewhere, is fooled."""
    fooling = [
        question
        for scene, question in asked
        if (found := re.fullmatch(r"Is there an? (\w+) (?!object)(\w+)\?", question.text))
        and question.answer == "no"
        and objects_called(f"{found[1]} object", scene)
        and objects_called(found[2], scene)
    ]
    assert len(fooling) > 100


def test_ten_people_seldom_err():
    question = SceneQuestion("colour", "What color is the star?", "what color is the", "red", COLOURS)
    rng = make_scene(0).generator(Stream.QUESTIONS)
    votes = [answers_of_ten(question, rng) for _ in range(2000)]
    assert all(len(answers) == 10 and set(answers) <= set(COLOURS) for answers in votes)
    right = [answers.count("red") for answers in votes]
    assert min(right) == 7 and 9.4 < sum(right) / len(right) < 9.6
