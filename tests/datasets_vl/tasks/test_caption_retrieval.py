"""Retrieval examples: what a caption is told from, pools of hard negatives, splits to be ranked."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets_vl.captions import CaptionTable
from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.tasks.caption_retrieval import (
    CandidateRetrieval,
    InBatchRetrieval,
    RetrievalSplit,
    mine_pool,
    read_pool,
)
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.retrieval_collator import RetrievalCollator
from tests.minilm import tokenizer
from tests.random_regions import random_regions

IMAGES, CAPTIONS = 7, 3


@pytest.fixture
def captions() -> CaptionTable:
    pairs = [(f"image-{image}", f"image {image} caption {k}") for image in range(IMAGES) for k in range(CAPTIONS)]
    return CaptionTable.from_pairs([*pairs, ("image-99", "without regions")])


@pytest.fixture
def regions(tmp_path: Path) -> LocalRegions:
    with RegionShardWriter(tmp_path / "shards", RegionFeaturesMetadata(feature_dim=8, num_classes=5)) as writer:
        for image in range(IMAGES):
            writer.write(random_regions(2 + image % 3, seed=image))
    return LocalRegions(tmp_path / "shards")


def training_data(regions: LocalRegions, captions: CaptionTable) -> LocalTrainingData:
    processor = RegionTextProcessor(RegionFeatureExtractor(8, global_region=None), tokenizer())
    collator = RetrievalCollator(processor, feature_dropout=0.3, token_dropout=0.3)
    return LocalTrainingData(regions, InBatchRetrieval(captions, seed=3), collator, batch_size=3, seed=3)


def test_every_epoch_shows_each_image_once_and_a_round_each_caption_once(
    regions: LocalRegions, captions: CaptionTable
) -> None:
    task = InBatchRetrieval(captions, seed=1)
    assert len(task.table) == IMAGES + 1
    seen = Counter()
    for epoch in range(CAPTIONS):
        for image in range(IMAGES):
            example = task.example(regions[image], image, epoch)
            assert [found.image_id for found in example["images"]] == [f"image-{image}"]
            assert example["candidates"] == []
            seen[example["texts"][0]] += 1
    assert seen == Counter(captions.text(index) for index in range(IMAGES * CAPTIONS))
    orders = {
        tuple(task.example(regions[0], 0, CAPTIONS * turn + k)["texts"][0] for k in range(CAPTIONS))
        for turn in range(20)
    }
    assert len(orders) == 6


def test_batches_of_an_epoch_hold_no_image_twice_and_resume_exactly(
    regions: LocalRegions, captions: CaptionTable
) -> None:
    data = training_data(regions, captions)
    assert data.examples_per_epoch == IMAGES
    batches = list(islice(data, 2))
    assert [len(batch["visual_embeds"]) for batch in batches] == [3, 3]
    state = data.state_dict()
    expected = list(islice(data, 5))
    resumed = training_data(regions, captions)
    resumed.load_state_dict(state)
    for mine, other in zip(islice(resumed, 5), expected, strict=True):
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[name], other[name]) for name in other)


def test_the_last_images_of_an_epoch_meet_the_first_of_the_next_as_the_same_image(
    regions: LocalRegions, captions: CaptionTable
) -> None:
    for batch in islice(training_data(regions, captions), 40):
        assert len(batch["visual_embeds"]) == len(batch["owners"].unique())
        assert len(batch["owners"]) == 3


def test_alternatives_are_never_true(regions: LocalRegions, captions: CaptionTable) -> None:
    pool = {f"image-{image}": [f"image-{(image + 1) % IMAGES}", f"image-{image}"] for image in range(IMAGES)}
    task = CandidateRetrieval(captions, regions, hard_images=pool, seed=2)
    false_texts, false_images = set(), set()
    for epoch in range(40):
        example = task.example(regions[4], 4 * CAPTIONS + 1, epoch)
        assert example["candidates"] == [(0, 0), (1, 0), (0, 1), (2, 0)]
        assert example["texts"][0] == "image 4 caption 1"
        assert example["texts"][2].startswith("image 5 ")
        assert example["images"][0].image_id == "image-4"
        false_texts.add(example["texts"][1].split()[1])
        false_images.add(example["images"][1].image_id)
    assert false_texts == {"0", "1", "2", "3", "5", "6"}
    assert false_images == {f"image-{image}" for image in range(IMAGES) if image != 4}
    again = CandidateRetrieval(captions, regions, hard_images=pool, seed=2).example(regions[4], 13, 39)
    assert (again["texts"], again["images"][1].image_id) == (example["texts"], example["images"][1].image_id)


def test_without_a_pool_there_are_three_candidates(regions: LocalRegions, captions: CaptionTable) -> None:
    example = CandidateRetrieval(captions, regions).example(regions[0], 0, 0)
    assert example["candidates"] == [(0, 0), (1, 0), (0, 1)]
    assert len(example["texts"]) == 2


def test_tasks_that_cannot_be_are_refused(regions: LocalRegions, captions: CaptionTable) -> None:
    with pytest.raises(ValueError, match="retrieval needs two images"):
        InBatchRetrieval(CaptionTable.from_pairs([("a", "x"), ("a", "y")]))
    with pytest.raises(ValueError, match="seed must not be negative"):
        InBatchRetrieval(captions, seed=-1)
    with pytest.raises(ValueError, match="image 'image-1' has no hard negative"):
        CandidateRetrieval(captions, regions, hard_images={"image-0": ["image-1"], "image-1": ["image-1"]})


def test_a_pool_is_mined_and_read(tmp_path: Path) -> None:
    scores = np.array([[9, 1, 5], [2, 0, 8], [1, 7, 3], [0, 6, 9]], dtype=np.float32)
    pool = mine_pool(scores, np.array([0, 0, 1, 2]), ["a", "b", "c"], 5)
    assert pool == {"a": ["c", "b"], "b": ["c", "a"], "c": ["b", "a"]}
    assert mine_pool(scores, np.array([0, 0, 1, 2]), ["a", "b", "c"], 1) == {"a": ["c"], "b": ["c"], "c": ["b"]}
    (tmp_path / "pool.json").write_text('{"a": ["b"]}')
    assert read_pool(tmp_path / "pool.json") == {"a": ["b"]}
    for content, message in (("{", "is no JSON"), ("[]", "got list"), ('{"a": "b"}', "got 'b' for image 'a'")):
        (tmp_path / "pool.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            read_pool(tmp_path / "pool.json")


def test_a_split_takes_what_is_asked_for(regions: LocalRegions, captions: CaptionTable) -> None:
    whole = RetrievalSplit.of(captions, regions)
    assert (len(whole.image_ids), len(whole.indices)) == (IMAGES, IMAGES * CAPTIONS)
    part = RetrievalSplit.of(captions, regions, num_images=2, captions_per_image=2)
    assert part.texts(slice(1, None)) == ["image 0 caption 1", "image 1 caption 0", "image 1 caption 1"]
    assert part.owners.tolist() == [0, 0, 1, 1]
    assert [image.image_id for image in part.images(slice(None))] == ["image-0", "image-1"]
    assert part.fingerprint != whole.fingerprint
    with pytest.raises(ValueError, match="needs two images at least, 1 have"):
        RetrievalSplit.of(captions, regions, num_images=1)
    with pytest.raises(ValueError, match="captions_per_image must be at least 1, got 0"):
        RetrievalSplit.of(captions, regions, captions_per_image=0)
