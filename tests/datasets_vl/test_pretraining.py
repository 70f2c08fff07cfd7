from __future__ import annotations

from typing import Any

import pytest

from datasets_vl.captions import CaptionTable
from datasets_vl.pretraining import MATCH, MISMATCH, PreTrainingTask
from tests.datasets_vl.small_shards import image, image_name

FIRST_EPOCH = [
    ("0a", 0),
    ("0b", 0),
    ("0c", 0),
    ("1a", 0),
    ("2a", 1),
    ("2a", 0),
    ("0b", 1),
    ("2c", 0),
    ("2d", 0),
    ("1b", 1),
]


def table(*captions: int) -> CaptionTable:
    """Image `i` has as many captions as the i-th number says: "0a", "0b", "1a", ..."""
    return CaptionTable.from_pairs(
        (image_name(number), f"{number}{letter}")
        for number, count in enumerate(captions)
        for letter in "abcdefghij"[:count]
    )


def examples(task: PreTrainingTask, epochs: int = 1) -> list[Any]:
    captions = task.captions
    images = [image(number) for number in range(len(captions.image_ids))]
    return [
        task.example(images[captions.position_of(index)], index, epoch)
        for epoch in range(epochs)
        for index in range(len(captions))
    ]


def own(example: Any) -> str:
    return str(int(example["image_id"].removeprefix("image-")))


def test_draws_are_the_same_on_every_machine() -> None:
    task = PreTrainingTask(table(3, 2, 4, 1), seed=11)
    assert [(e["text"], e["alignment_label"]) for e in examples(task)] == FIRST_EPOCH


def test_examples_do_not_depend_on_what_was_made_before() -> None:
    task = PreTrainingTask(table(3, 2), seed=1)
    forward = [task.example(image(0), index, 4) for index in (0, 1, 2)]
    backward = [PreTrainingTask(table(3, 2), seed=1).example(image(0), index, 4) for index in (2, 1, 0)]
    for one, other in zip(forward, reversed(backward), strict=True):
        assert {k: v for k, v in one.items() if k != "regions"} == {k: v for k, v in other.items() if k != "regions"}


def test_regions_are_passed_on_and_randomness_is_keyed() -> None:
    regions = image(1)
    example = PreTrainingTask(table(3, 2), seed=6).example(regions, 4, 9)
    assert example["regions"] is regions
    assert example["rng_key"] == (6, 9, 4)


def test_caption_form_labels_are_true() -> None:
    """The label says what the text is: also for an image that owns nearly all captions."""
    made = examples(PreTrainingTask(table(10, 1, 1), seed=0), epochs=100)
    for example in made:
        assert (example["text"][0] == own(example)) == (example["alignment_label"] == MATCH)
        assert example["text_pair"] is None
    false_captions = [example["text"] for example in made if example["alignment_label"] == MISMATCH]
    assert 1200 * 0.45 < len(false_captions) < 1200 * 0.55
    assert {"0a", "0j", "1a", "2a"} <= set(false_captions)


def test_false_captions_are_drawn_evenly_from_the_other_images() -> None:
    task = PreTrainingTask(table(2, 3, 5), mismatch_probability=1.0, seed=2)
    drawn = [task.example(image(0), 0, epoch)["text"] for epoch in range(4000)]
    counts = {text: drawn.count(text) for text in set(drawn)}
    assert set(counts) == {"1a", "1b", "1c", "2a", "2b", "2c", "2d", "2e"}
    assert all(abs(count - 500) < 80 for count in counts.values())


def test_epochs_draw_afresh() -> None:
    task = PreTrainingTask(table(3, 3, 3), seed=0)
    assert (
        len({tuple(task.example(image(0), 0, epoch)["text"] for epoch in range(k, k + 8)) for k in range(0, 80, 8)})
        > 5
    )


def test_pair_form_joins_two_captions() -> None:
    made = examples(PreTrainingTask(table(2, 3, 5), form="caption_pair", seed=0), epochs=100)
    for example in made:
        assert example["text"][0] == own(example)
        assert example["text_pair"] != example["text"]
        assert (example["text_pair"][0] == own(example)) == (example["alignment_label"] == MATCH)
    partners = {(e["text"], e["text_pair"]) for e in made if e["alignment_label"] == MATCH}
    assert partners == {
        (f"{i}{a}", f"{i}{b}") for i, n in ((0, "ab"), (1, "abc"), (2, "abcde")) for a in n for b in n if a != b
    }


def test_matched_form_has_no_label() -> None:
    task = PreTrainingTask(table(1), form="matched")
    example = task.example(image(0), 0, 0)
    assert (example["text"], example["text_pair"], example["alignment_label"]) == ("0a", None, None)


@pytest.mark.parametrize(("probability", "label"), [(0.0, MATCH), (1.0, MISMATCH)])
def test_mismatch_probability_reaches_its_ends(probability: float, label: int) -> None:
    made = examples(PreTrainingTask(table(2, 2), mismatch_probability=probability), epochs=20)
    assert {example["alignment_label"] for example in made} == {label}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"captions": table(4)}, "all 4 captions belong to image 'image-0000'.*form='matched'"),
        ({"captions": table(4), "form": "caption_pair"}, "all 4 captions belong to image"),
        (
            {"captions": table(2, 1, 1), "form": "caption_pair"},
            "2 of 3 images have a single one, the first is 'image-0001'",
        ),
        ({"captions": table(1, 1), "form": "pair"}, "form must be one of caption, caption_pair, matched, got 'pair'"),
        ({"captions": table(1, 1), "mismatch_probability": 1.5}, "between 0 and 1, got 1.5"),
        ({"captions": table(1, 1), "seed": -1}, "seed must not be negative, got -1"),
    ],
)
def test_what_cannot_work_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreTrainingTask(**arguments)


def test_caption_of_another_image_is_refused() -> None:
    with pytest.raises(ValueError, match="caption 1 describes image 'image-0001', got regions of 'image-0000'"):
        PreTrainingTask(table(1, 1)).example(image(0), 1, 0)
