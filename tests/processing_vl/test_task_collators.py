"""Batches of every kind of task, with hand-made expectations."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch

from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.task_collators import (
    ClassificationCollator,
    MultipleChoiceCollator,
    PhraseGroundingCollator,
    QuestionAnsweringCollator,
    RegionGroundingCollator,
    without_bookkeeping,
)
from tests.minilm import tokenizer
from tests.random_regions import random_regions

CLS, SEP, MASK, QUESTION_MARK, A, DOG, CAT = 101, 102, 103, 1029, 1037, 3899, 4937


def processor(*, append_mask=False, **settings):
    extractor = RegionFeatureExtractor(**{"visual_embedding_dim": 8, "global_region": "first", **settings})
    return RegionTextProcessor(extractor, tokenizer(), append_mask=append_mask)


def example(number=0, *, texts=("a dog",), regions=3, images=1, **fields):
    return {
        "index": number,
        "example_id": f"e{number}",
        "images": [random_regions(regions, seed=10 * number + k) for k in range(images)],
        "texts": list(texts),
        **fields,
    }


def test_a_question_has_soft_scores():
    collate = QuestionAnsweringCollator(processor(), num_labels=4)
    batch = collate([example(7, scores={1: 0.3, 3: 1.0}), example(9, texts=["cat"], regions=2, scores={})])
    assert batch["labels"].tolist() == [[0, pytest.approx(0.3), 0, 1], [0, 0, 0, 0]]
    assert batch["input_ids"].tolist() == [[CLS, A, DOG, SEP], [CLS, CAT, SEP, 0]]
    assert batch["visual_attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["visual_embeds"].shape == (2, 4, 8)
    assert batch["index"].tolist() == [7, 9]
    assert "task_ids" not in batch
    assert without_bookkeeping(batch).keys() == batch.keys() - {"index"}


def test_a_question_with_one_answer_and_a_task_token():
    batch = QuestionAnsweringCollator(processor(), num_labels=4, task_token=15)([example(label=2), example(label=0)])
    assert batch["labels"].tolist() == [2, 0]
    assert batch["labels"].dtype == torch.int64
    assert batch["task_ids"].tolist() == [15, 15]


def test_visualbert_reads_the_answer_at_the_mask_behind_the_question():
    collate = QuestionAnsweringCollator(processor(append_mask=True), num_labels=4, max_text_length=6)
    batch = collate([example(texts=["a dog"]), example(1, texts=["cat ? "]), example(2, texts=["dog " * 9])])
    assert batch["input_ids"].tolist() == [
        [CLS, A, DOG, QUESTION_MARK, MASK, SEP],
        [CLS, CAT, QUESTION_MARK, MASK, SEP, 0],
        [CLS, DOG, DOG, DOG, MASK, SEP],
    ]
    assert batch["attention_mask"].sum(1).tolist() == [6, 5, 6]
    # What the model does: the state at the place before the last one.
    assert batch["input_ids"].gather(1, batch["attention_mask"].sum(1, keepdim=True) - 2).tolist() == [[MASK]] * 3


def test_a_test_split_has_no_labels():
    for collate in (
        QuestionAnsweringCollator(processor(), num_labels=4),
        ClassificationCollator(processor(), num_labels=2),
        RegionGroundingCollator(processor()),
    ):
        assert "labels" not in collate([example(0), example(1, label=None, scores=None, region_scores=None)])


def test_two_images_of_a_statement():
    first, second = example(0, images=2, regions=2, label=1), example(1, images=2, regions=4, label=0)
    batch = ClassificationCollator(processor(), num_labels=2)([first, second])
    assert batch["visual_embeds"].shape == (2, 2, 5, 8)
    assert batch["visual_locations"].shape == (2, 2, 5, 5)
    assert batch["visual_attention_mask"].sum(-1).tolist() == [[3, 3], [5, 5]]
    for row, one in enumerate((first, second)):
        for place, image in enumerate(one["images"]):
            expected = torch.from_numpy(image.features).float()
            assert torch.equal(batch["visual_embeds"][row, place, 1 : len(expected) + 1], expected)
    assert batch["labels"].tolist() == [1, 0]


def test_choices_share_the_image_and_link_their_words_to_regions():
    # "a" of the question is region 1; in choice 1 "the cat" is the regions 0 and 2.
    mentions = [[(0, 0, 1, [1])], [(0, 0, 1, [1]), (1, 0, 7, [0, 2])]]
    one = example(texts=["a dog", "a dog"], text_pairs=["cat", "the cat"], mentions=mentions, label=1)
    two = example(1, texts=["dog", "dog"], text_pairs=["a", "a"], regions=1, label=0)
    batch = MultipleChoiceCollator(processor())([one, two])
    the = 1996
    assert batch["input_ids"].tolist() == [
        [[CLS, A, DOG, SEP, CAT, SEP, 0], [CLS, A, DOG, SEP, the, CAT, SEP]],
        [[CLS, DOG, SEP, A, SEP, 0, 0], [CLS, DOG, SEP, A, SEP, 0, 0]],
    ]
    assert batch["token_type_ids"][0, 1].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert batch["visual_embeds"].shape == (2, 4, 8)
    # Place 0 is the added whole image.
    nothing = [-1, -1]
    assert batch["image_text_alignment"].tolist() == [
        [[nothing, nothing, [1, -1], nothing], [nothing, [4, 5], [1, -1], [4, 5]]],
        [[nothing] * 4, [nothing] * 4],
    ]
    assert batch["labels"].tolist() == [1, 0]


def test_mentions_of_a_single_text_and_of_regions_that_are_cut_off():
    collate = ClassificationCollator(processor(max_regions=2), num_labels=2)
    batch = collate([example(mentions=[[(0, 2, 5, [0, 2])]], regions=3)])
    assert batch["image_text_alignment"].tolist() == [[[-1], [2], [-1]]]


def test_an_expression_scores_regions_at_their_places():
    collate = RegionGroundingCollator(processor(global_region="last", max_regions=2))
    own = {**example(1, regions=2), "images": [random_regions(2, has_global_region=True)]}
    scores = [np.array([0.5, 0.25, 1.0], dtype=np.float32), np.array([0.1, 0.9], dtype=np.float32)]
    batch = collate([example(region_scores=scores[0]), {**own, "region_scores": scores[1]}])
    assert batch["is_proposal"].tolist() == [[True, True, False], [True, True, False]]
    boxes = own["images"][0].boxes
    assert batch["region_boxes"][1].tolist() == [boxes[1].tolist(), boxes[0].tolist(), [0, 0, 0, 0]]
    assert batch["labels"].tolist() == [[0.5, 0.25, 0], [pytest.approx(0.9), pytest.approx(0.1), 0]]


def test_a_phrase_is_read_at_its_last_word_piece():
    text = "a dog chases cats"  # pieces: a dog chases cats
    targets = np.array([[0.5, 0.5, 0], [0, 0, 1]], dtype=np.float32)
    one = example(texts=[text], phrases=[(0, 5), (13, 17)], phrase_targets=targets)
    two = example(1, texts=["dog"], regions=1, phrases=[(0, 3)], phrase_targets=np.ones((1, 1), dtype=np.float32))
    batch = PhraseGroundingCollator(processor(max_regions=2))([one, two])
    assert batch["phrase_positions"].tolist() == [[2, 4], [1, -1]]
    assert batch["labels"].tolist() == [[[0, 0.5, 0.5], [0, 0, 0]], [[0, 1, 0], [0, 0, 0]]]
    assert without_bookkeeping(batch).keys() == batch.keys() - {"index", "region_boxes", "is_proposal"}
    assert batch["is_proposal"].tolist() == [[False, True, True], [False, True, False]]


def test_a_phrase_that_lost_regions_or_words():
    targets = np.array([[0.25, 0, 0.75]], dtype=np.float32)
    collate = PhraseGroundingCollator(processor(max_regions=2), max_text_length=4)
    batch = collate([example(texts=["a dog chases cats"], phrases=[(13, 17)], phrase_targets=targets)])
    assert batch["phrase_positions"].tolist() == [[-1]]
    assert batch["labels"].tolist() == [[[0, 1, 0]]]


def test_a_copy_in_a_worker_collates_the_same():
    collate = MultipleChoiceCollator(processor())
    examples = [example(texts=["dog", "cat"], label=1)]
    for name, value in pickle.loads(pickle.dumps(collate))(examples).items():
        assert torch.equal(value, collate(examples)[name])


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no examples"),
        ([example(texts=["dog", "cat"])], "example 'e0' has 2 texts, QuestionAnsweringCollator reads one"),
        ([example(), example(1, images=2)], "example 'e1' has 2 images, example 'e0' of the same batch 1"),
        ([example(), example(1, text_pairs=["cat"])], "example 'e1' has 1 second texts for 1 texts"),
        ([example(label=1), example(1)], "example 'e1' has no label, others of its batch have"),
        ([example(scores={0: 1.0}), example(1)], "example 'e1' has no scores, others of its batch have"),
        ([example(scores={4: 1.0})], "example 'e0' has the label 4, there are the labels 0 to 3"),
        ([example(label=-1)], "example 'e0' has the label -1"),
        ([example(mentions=[[], []])], "example 'e0' has mentions for 2 of 1 texts"),
    ],
)
def test_impossible_batches(examples, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        QuestionAnsweringCollator(processor(), num_labels=4)(examples)


def test_impossible_settings():
    with pytest.raises(ValueError, match="a pair of texts has 4 special tokens"):
        QuestionAnsweringCollator(processor(append_mask=True), num_labels=4, max_text_length=4)
    with pytest.raises(ValueError, match="more than the model has positions for"):
        RegionGroundingCollator(processor(), max_text_length=513)
