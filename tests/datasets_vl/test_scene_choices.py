from collections import Counter

import pytest

from datasets_vl.scene_choices import SceneChoice, Tokens, ask_with_choices
from datasets_vl.scenes import Scene, Stream, make_scene
from tests.datasets_vl.scene_truth import PLACES, RELATIONS, accuracy_from_words_alone


def is_true(tokens: Tokens, scene: Scene) -> bool:
    match tokens:
        case [[first], "is", ("left" | "right" | "above" | "below") as word, *rest, [second], "."]:
            return RELATIONS[" ".join([word, *rest])](scene.objects[first], scene.objects[second])
        case [[first], "is", "the", colour, "one", "and", [second], "the", other, "one", "."]:
            return (scene.objects[first].colour, scene.objects[second].colour) == (colour, other)
        case [[number], "is", "the", "one", "in" | "at", "the", *words, "."]:
            there = {name for name, lies_there in PLACES.items() if lies_there(scene.objects[number], scene)}
            return there == set(words) - {"middle"}
        case [[number], "is", colour, "."]:
            return scene.objects[number].colour == colour
    raise AssertionError(tokens)


def words_of(tokens: Tokens) -> str:
    return " ".join(token if isinstance(token, str) else "[]" for token in tokens)


@pytest.fixture(scope="module")
def asked() -> list[tuple[Scene, SceneChoice]]:
    scenes = [make_scene(index, split="val") for index in range(1200)] + [make_scene(index) for index in range(300)]
    return [(scene, choice) for scene in scenes for choice in ask_with_choices(scene, scene.generator(Stream.CHOICES))]


def options_of(choice: SceneChoice) -> list[tuple[list[Tokens], int]]:
    return [(choice.answers, choice.answer_label), (choice.rationales, choice.rationale_label)]


def test_exactly_the_right_choice_is_true(asked):
    for scene, choice in asked:
        for options, label in options_of(choice):
            assert [is_true(option, scene) for option in options] == [k == label for k in range(4)], options


def test_questions_and_choices_are_about_the_same_objects(asked):
    for scene, choice in asked:
        mentioned = [token for token in choice.question if isinstance(token, list)]
        assert {number for numbers in mentioned for number in numbers} <= set(range(len(scene.objects)))
        for options, _ in options_of(choice):
            assert all([token for token in option if isinstance(token, list)] == mentioned for option in options)


def test_both_questions_are_asked_of_most_scenes(asked):
    kinds = Counter(choice.question[0] for scene, choice in asked if scene.split == "val")
    assert kinds["What"] == 1200 and kinds["Where"] > 800


@pytest.mark.parametrize("which", ["answers", "rationales"])
@pytest.mark.parametrize("opening", ["What", "Where"])
def test_a_wording_is_right_as_often_as_chance_has_it(asked, opening: str, which: str):
    """Wrong choices are true of other objects: none is wrong because of how it is worded."""
    of_kind = [choice for _, choice in asked if choice.question[0] == opening]
    seen, unseen = Counter(), []
    shown = Counter()
    for number, choice in enumerate(of_kind):
        options, label = options_of(choice)[which == "rationales"]
        texts = [words_of(option) for option in options]
        if number % 2:
            unseen.append((texts, label))
        else:
            seen[texts[label]] += 1
            shown.update(texts)
    guesses = [max(range(4), key=lambda k: seen[texts[k]] / max(shown[texts[k]], 1)) for texts, _ in unseen]
    assert sum(guess == label for guess, (_, label) in zip(guesses, unseen, strict=True)) / len(unseen) < 0.32


@pytest.mark.parametrize("which", ["answers", "rationales"])
def test_the_right_choice_is_not_the_one_most_like_the_others(asked, which: str):
    right = []
    for _, choice in asked:
        options, label = options_of(choice)[which == "rationales"]
        shared = [
            sum(a == b for other in options if other is not mine for a, b in zip(mine, other, strict=False))
            for mine in options
        ]
        right.append(shared.index(max(shared)) == label)
    assert sum(right) / len(right) == pytest.approx(0.25, abs=0.035)


def test_answers_do_not_tell_rationales(asked):
    """The words of the question and its answer, learnt with the rationale's words, predict nothing."""
    pairs = [
        (
            words_of(choice.question) + words_of(choice.answers[choice.answer_label]),
            words_of(choice.rationales[choice.rationale_label]),
        )
        for _, choice in asked
        if choice.question[0] == "What"
    ]
    assert accuracy_from_words_alone(pairs[::2], pairs[1::2]) < 0.17  # one place in nine; the middle is the commonest


def test_labels_are_spread_evenly(asked):
    for which in (0, 1):
        labels = Counter(options_of(choice)[which][1] for _, choice in asked)
        assert min(labels.values()) > 0.22 * len(asked)
