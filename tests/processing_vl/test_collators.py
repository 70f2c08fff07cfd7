from __future__ import annotations

import math
import pickle
import re

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from configuration_vl.region_targets import REGION_TARGETS
from processing_vl.collators import PreTrainingCollator
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.ignored_label import IGNORED_LABEL
from processing_vl.masking import mask_regions, mask_tokens
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures
from tests.minilm import minilm_folder, tokenizer
from tests.random_regions import random_regions

CLS, SEP, MASK = 101, 102, 103
ALWAYS = {
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "labels",
    "sentence_image_labels",
    "visual_embeds",
    "visual_locations",
    "visual_attention_mask",
}
CAPTION = "a small brown dog runs after a yellow ball on the wet grass behind the old house"


def processor(**settings):
    return RegionTextProcessor(
        RegionFeatureExtractor(**{"visual_embedding_dim": 8, "global_region": "first", **settings}), tokenizer()
    )


def collator(*, extractor=None, **settings):
    return PreTrainingCollator(processor(**(extractor or {})), **settings)


def example(num_regions=6, *, key=0, text=CAPTION, text_pair=None, label=0, **changes):
    regions = random_regions(num_regions, seed=key, **changes)
    return {
        "image_id": regions.image_id,
        "regions": regions,
        "text": text,
        "text_pair": text_pair,
        "alignment_label": label,
        "rng_key": (13, 0, key),
    }


@pytest.mark.parametrize(
    ("targets", "added"),
    [
        ([], set()),
        (["kl"], {"region_labels", "region_class_probs"}),
        (["mse"], {"region_labels", "region_features"}),
        (["nce", "huber"], {"region_labels", "region_features"}),
        (["object"], {"region_labels", "object_ids", "object_scores"}),
        (["attribute"], {"region_labels", "attribute_ids", "attribute_scores"}),
        (["class"], {"region_labels", *REGION_TARGETS["class"].inputs}),
    ],
)
def test_the_batch_holds_what_the_model_asks_for(targets, added):
    batch = collator(region_targets=targets)([example(3, key=1), example(6, key=2)])
    assert batch.keys() == ALWAYS | added
    shapes = {"region_class_probs": (2, 7, 5), "region_features": (2, 7, 8)}
    for name in added:
        assert tuple(batch[name].shape) == shapes.get(name, (2, 7)), name
        is_float = name in ("region_class_probs", "region_features", "object_scores", "attribute_scores")
        assert batch[name].dtype == (torch.float32 if is_float else torch.int64), name
    assert batch["labels"].shape == batch["input_ids"].shape
    assert batch["sentence_image_labels"].tolist() == [0, 0]


def test_without_region_targets_no_region_is_masked():
    examples = [example(6, key=key) for key in range(50)]
    batch = collator()(examples)
    plain = processor()(regions=[e["regions"] for e in examples])
    torch.testing.assert_close(batch["visual_embeds"], plain["visual_embeds"], rtol=0, atol=0)


def test_masks_come_from_the_example_s_own_key():
    """The documented recipe, so that masks stay the same over releases: tokens first, then regions."""
    one = example(40, key=5)
    batch = collator(region_targets=["kl"])([one])
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([13, 0, 5, 1])))
    ids = tokenizer()(CAPTION)["input_ids"]
    masked, labels = mask_tokens(
        np.array(ids),
        maskable=~np.isin(ids, [CLS, SEP]),
        mask_token_id=MASK,
        vocab_size=30522,
        rng=rng,
    )
    mask = mask_regions(one["regions"].boxes, maskable=np.ones(40, dtype=bool), rng=rng)
    assert batch["input_ids"][0].tolist() == masked.tolist()
    assert batch["labels"][0].tolist() == labels.tolist()
    assert (batch["region_labels"][0, 1:] == 1).tolist() == mask.predicted.tolist()
    assert (batch["visual_embeds"][0, 1:] == 0).all(-1).tolist() == mask.zeroed.tolist()
    assert mask.predicted.any()


def test_an_example_is_the_same_in_every_batch():
    collate = collator(region_targets=["kl", "mse"])
    long, short = example(30, key=1), example(4, key=2, text="a dog on the grass")
    alone, together, reversed_ = collate([short]), collate([long, short]), collate([short, long])
    for name, value in alone.items():
        for other in (together[name][1], reversed_[name][0]):
            unpadded = other[: len(value[0])] if other.ndim else other
            torch.testing.assert_close(unpadded, value[0], rtol=0, atol=0)
    assert (together["labels"][1, alone["labels"].shape[1] :] == IGNORED_LABEL).all()
    assert (together["region_labels"][1, 5:] == IGNORED_LABEL).all()


def test_another_epoch_masks_anew():
    first, second = example(40), {**example(40), "rng_key": (13, 1, 0)}
    batch = collator(region_targets=["kl"])([first, second])
    assert (batch["labels"][0] != batch["labels"][1]).any()
    assert (batch["region_labels"][0] != batch["region_labels"][1]).any()


def test_a_copy_in_a_worker_collates_the_same():
    collate, examples = collator(region_targets=["kl"]), [example(key=key) for key in range(4)]
    for name, value in pickle.loads(pickle.dumps(collate))(examples).items():
        torch.testing.assert_close(value, collate(examples)[name], rtol=0, atol=0)


def test_labels_restore_the_text_and_special_tokens_are_never_masked():
    examples = [example(1, key=key, text="the dog", text_pair="an old cat") for key in range(400)]
    batch = collator()(examples)
    plain = processor()(text=["the dog"] * 400, text_pair=["an old cat"] * 400)
    predicted = batch["labels"] != IGNORED_LABEL
    restored = torch.where(predicted, batch["labels"], batch["input_ids"])
    assert torch.equal(restored, plain["input_ids"])
    special = torch.isin(plain["input_ids"], torch.tensor([CLS, SEP]))
    assert not predicted[special].any()
    assert predicted[~special].any()
    trials = int((~special).sum())
    assert abs(int(predicted.sum()) - 0.15 * trials) < 4 * math.sqrt(trials * 0.15 * 0.85)
    for name in ("attention_mask", "token_type_ids"):
        assert torch.equal(batch[name], plain[name])


def test_long_texts_are_cut_before_the_separator():
    batch = collator(max_text_length=6, token_mask_probability=0)([example(text="dog " * 50)])
    assert batch["input_ids"].tolist() == [[CLS, *[3899] * 4, SEP]]
    assert (batch["labels"] == IGNORED_LABEL).all()


def intersection_over_union(a, b):
    """With the extra pixel, one pair at a time."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return shared / (sum(areas) - shared)


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_the_added_global_region_is_the_mean_of_what_is_left(place, threshold):
    collate = collator(extractor={"global_region": place}, region_targets=["mse"], overlap_threshold=threshold)
    examples = [example(12, key=key) for key in range(40)] + [example(3, key=99)]
    batch = collate(examples)
    overlaps_seen = 0
    for row, one in enumerate(examples):
        n, boxes = one["regions"].num_regions, one["regions"].boxes.astype(float)
        at, own = (0, slice(1, n + 1)) if place == "first" else (n, slice(0, n))
        features = batch["visual_embeds"][row, own]
        predicted = [i for i, label in enumerate(batch["region_labels"][row, own].tolist()) if label == 1]
        left_out = [
            i
            for i in range(n)
            if threshold and any(intersection_over_union(boxes[i], boxes[j]) > threshold for j in predicted)
        ]
        overlaps_seen += len(set(left_out) - set(predicted))
        torch.testing.assert_close(batch["visual_embeds"][row, at], features.sum(0) / (n - len(left_out)))
        assert batch["region_labels"][row, at] == IGNORED_LABEL
        unmasked = torch.tensor(one["regions"].features).float()
        torch.testing.assert_close(batch["region_features"][row, own], unmasked, rtol=0, atol=0)
        kept = (features != 0).any(-1)
        torch.testing.assert_close(features[kept], unmasked[kept], rtol=0, atol=0)
        assert set((~kept).nonzero().flatten().tolist()) <= set(predicted)
    assert (batch["region_labels"] == 1).any()
    assert threshold is None or overlaps_seen > 0


@pytest.mark.parametrize(("place", "at"), [("first", 0), ("last", 3), (None, 0)])
def test_the_data_s_own_global_region_is_kept_and_never_masked(place, at):
    examples = [example(4, key=key, has_global_region=True) for key in range(60)]
    batch = collator(extractor={"global_region": place}, region_targets=["kl"], region_mask_probability=0.9)(examples)
    assert batch["visual_embeds"].shape == (60, 4, 8)
    own = torch.stack([torch.tensor(e["regions"].features[0]).float() for e in examples])
    torch.testing.assert_close(batch["visual_embeds"][:, at], own, rtol=0, atol=0)
    assert (batch["region_labels"][:, at] == IGNORED_LABEL).all()
    others = [column for column in range(4) if column != at]
    assert (batch["region_labels"][:, others] == 1).any(0).all()


def test_targets_lie_where_their_regions_lie():
    image = random_regions(4, has_global_region=True)
    one = {**example(), "regions": image}
    names = ["kl", "object", "attribute"]
    batch = collator(extractor={"global_region": "last"}, region_targets=names)([one, example(9)])
    order = [1, 2, 3, 0]
    expected_probs = torch.tensor(image.class_probs[order]).float()
    torch.testing.assert_close(batch["region_class_probs"][0, :4], expected_probs, rtol=0, atol=0)
    for name in ("object_ids", "object_scores", "attribute_ids", "attribute_scores"):
        assert batch[name][0, :4].tolist() == getattr(image, name)[order].tolist()
        assert not batch[name][0, 4:].any()


def test_regions_are_cut_before_they_are_masked():
    collate = collator(extractor={"max_regions": 3}, region_targets=["kl"], region_mask_probability=1)
    batch = collate([example(10)])
    assert batch["region_labels"].tolist() == [[IGNORED_LABEL, 1, 1, 1]]
    assert batch["region_class_probs"].shape == (1, 4, 5)


def test_a_region_without_a_class_is_not_to_be_predicted():
    ids = np.array([2, -1, 0, -1])
    examples = [example(4, key=key, object_ids=ids) for key in range(50)]
    batch = collator(region_targets=["object"], region_mask_probability=0.9)(examples)
    assert (batch["region_labels"][:, [2, 4]] == IGNORED_LABEL).all()
    assert (batch["region_labels"][:, [1, 3]] == 1).any(0).all()


@pytest.mark.parametrize(
    ("target", "field"), [("kl", "class_probs"), ("object", "object_scores"), ("attribute", "attribute_ids")]
)
def test_a_missing_target_names_the_image(target, field):
    with pytest.raises(ValueError, match=rf"image 'image-8' has no {field}, which the region targets .*'{target}'"):
        collator(region_targets=[target])([example(key=1), example(key=8, **{field: None})])


def test_different_numbers_of_classes_name_the_image():
    message = "image 'image-2' has class_probs of 6 classes, image 'image-1' of 5"
    with pytest.raises(ValueError, match=message):
        collator(region_targets=["kl"])([example(key=1), example(key=2, num_classes=6)])


def test_a_wrong_feature_dimension_names_the_image():
    with pytest.raises(InvalidRegionFeatures, match="image 'image-2': features have 9 numbers"):
        collator()([example(key=1), example(key=2, feature_dim=9)])


LABELS = [0, 1, None]


@pytest.mark.parametrize(
    ("objective", "labels", "alignment", "predicted"),
    [
        (0, LABELS, [0, 1, IGNORED_LABEL], [True, True, True]),
        (1, LABELS, [0, 1, IGNORED_LABEL], [True, False, True]),
        (2, [0, None, None], [IGNORED_LABEL] * 3, [True, True, True]),
    ],
)
def test_objectives(objective, labels, alignment, predicted):
    examples = [example(40, key=key, label=label) for key, label in enumerate(labels)]
    settings = {"region_targets": ["kl"], "token_mask_probability": 0.5}
    batch = collator(objective=objective, **settings)(examples)
    assert batch["sentence_image_labels"].tolist() == alignment
    assert batch["sentence_image_labels"].dtype == torch.int64
    assert (batch["labels"] != IGNORED_LABEL).any(1).tolist() == predicted
    assert (batch["region_labels"] == 1).any(1).tolist() == predicted
    reference = collator(**settings)(examples)
    for name in ("input_ids", "visual_embeds"):
        torch.testing.assert_close(batch[name], reference[name], rtol=0, atol=0)


def test_objective_2_refuses_mismatches():
    with pytest.raises(ValueError, match="image 'image-4': objective 2 has no mismatched pairs"):
        collator(objective=2)([example(key=3), example(key=4, label=1)])


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "no examples"),
        ([example(key=6, label=2)], "image 'image-6': alignment_label must be 0 (match), 1 (mismatch) or None, got 2"),
        (
            [example(key=6, text_pair="a cat"), example(key=7)],
            "image 'image-7' has one text, others of its batch have",
        ),
    ],
)
def test_impossible_batches(examples, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        collator()(examples)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"region_targets": ["colour"]}, "region_targets names ['colour']; known targets are ['attribute', 'class'"),
        ({"objective": 3}, "objective must be 0, 1 or 2, got 3"),
        ({"max_text_length": 3}, "max_text_length=3 leaves no room for words: a pair of texts has 3 special tokens"),
        (
            {"max_text_length": 513},
            "max_text_length=513 is more than the model has positions for: the tokenizer's model_max_length is 512",
        ),
        ({"token_mask_probability": 15}, "token_mask_probability must lie in [0, 1], got 15"),
        ({"region_mask_probability": -0.1}, "region_mask_probability must lie in [0, 1], got -0.1"),
        ({"overlap_threshold": 0.4}, "overlap_threshold=0.4 would change nothing"),
        (
            {"overlap_threshold": 0.4, "region_targets": ["kl"], "extractor": {"global_region": None}},
            "the processor's global_region is None",
        ),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        collator(**settings)


def test_a_tokenizer_without_a_mask_token():
    without_mask = AutoTokenizer.from_pretrained(minilm_folder())
    without_mask.mask_token = None
    with pytest.raises(ValueError, match="has no mask token"):
        PreTrainingCollator(RegionTextProcessor(RegionFeatureExtractor(), without_mask))


def test_a_tokenizer_that_knows_no_longest_text_allows_any():
    unbounded = AutoTokenizer.from_pretrained(minilm_folder(), model_max_length=None)
    collate = PreTrainingCollator(
        RegionTextProcessor(RegionFeatureExtractor(visual_embedding_dim=8), unbounded), max_text_length=513
    )
    assert collate([example(text="dog " * 600)])["input_ids"].shape == (1, 513)


def test_real_photos(real_data):
    files = sorted((real_data / "flickr8k_800" / "features").glob("*.npz"))[:8]
    examples = []
    for number, file in enumerate(files):
        with np.load(file) as photo:
            image = RegionFeatures(
                image_id=file.stem,
                width=int(photo["image_w"]),
                height=int(photo["image_h"]),
                boxes=photo["bbox"],
                features=photo["x"],
                class_probs=photo["cls_prob"],
                has_global_region=True,
            )
        image.validate()
        examples.append({**example(key=number), "image_id": file.stem, "regions": image})
    batch = collator(extractor={"visual_embedding_dim": 1280}, region_targets=["kl"])(examples)
    counts = [e["regions"].num_regions for e in examples]
    assert batch["visual_attention_mask"].sum(1).tolist() == counts
    assert batch["visual_embeds"].shape == (8, max(counts), 1280)
    assert batch["visual_locations"][:, 0].tolist() == [[0, 0, 1, 1, 1]] * 8
    real = batch["visual_attention_mask"] == 1
    torch.testing.assert_close(batch["region_class_probs"].sum(-1)[real], torch.ones(sum(counts)), rtol=0, atol=0.01)
