from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing_vl.ignored_label import IGNORED_LABEL
from processing_vl.masking import RegionMask, mask_regions, mask_tokens, overlapping_regions
from tests.random_regions import random_regions

DRAWS = 200_000
VOCABULARY = 50
MASK_ID = 1_000
"""Outside of the drawn vocabulary, like `TOKEN_ID`: so each of the three fates of a token can be told apart."""
TOKEN_ID = 2_000


def assert_share(count: int, trials: int, probability: float) -> None:
    """Within four standard deviations of a binomial distribution: a right rule fails once in 16,000 seeds."""
    deviation = math.sqrt(trials * probability * (1 - probability))
    assert abs(count - trials * probability) < 4 * deviation, f"{count} of {trials}, expected {probability:.4f}"


@pytest.fixture(scope="module")
def masked_tokens():
    ids = np.full(DRAWS, TOKEN_ID)
    return mask_tokens(
        ids,
        maskable=np.ones(DRAWS, dtype=bool),
        mask_token_id=MASK_ID,
        vocab_size=VOCABULARY,
        rng=np.random.default_rng(0),
    )


@pytest.fixture(scope="module")
def masked_regions():
    boxes = np.zeros((DRAWS, 4), dtype=np.float32)
    return mask_regions(boxes, maskable=np.ones(DRAWS, dtype=bool), rng=np.random.default_rng(0))


def test_shares_of_masked_tokens(masked_tokens):
    ids, labels = masked_tokens
    chosen = labels != IGNORED_LABEL
    num_chosen = np.count_nonzero(chosen)
    assert_share(num_chosen, DRAWS, 0.15)
    assert_share(np.count_nonzero(ids[chosen] == MASK_ID), num_chosen, 0.8)
    assert_share(np.count_nonzero(ids[chosen] < VOCABULARY), num_chosen, 0.1)
    assert_share(np.count_nonzero(ids[chosen] == TOKEN_ID), num_chosen, 0.1)
    assert (labels[chosen] == TOKEN_ID).all()
    assert (ids[~chosen] == TOKEN_ID).all()


def test_replacements_are_uniform_over_the_vocabulary(masked_tokens):
    ids, _ = masked_tokens
    counts = np.bincount(ids[ids < VOCABULARY], minlength=VOCABULARY)
    expected = counts.sum() / VOCABULARY
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 85.4  # the 99.9 % point of 49 degrees of freedom


def test_shares_of_masked_regions(masked_regions):
    num_predicted = np.count_nonzero(masked_regions.predicted)
    assert_share(num_predicted, DRAWS, 0.15)
    assert_share(np.count_nonzero(masked_regions.zeroed), num_predicted, 0.9)
    assert not (masked_regions.zeroed & ~masked_regions.predicted).any()


@pytest.mark.parametrize("code_base", ["beta", "mt", "volta"])
def test_shares_measured_on_the_original_loaders(loader_record, code_base, masked_tokens, masked_regions):
    notes = loader_record(code_base).notes
    trials, predicted, zeroed = re.search(
        r"on (\d+) regions: labelled ([\d.]+), zeroed among labelled ([\d.]+)", notes
    ).groups()
    num_predicted = np.count_nonzero(masked_regions.predicted)
    assert_same_share(num_predicted / DRAWS, DRAWS, float(predicted), int(trials))
    own_zeroed = np.count_nonzero(masked_regions.zeroed) / num_predicted
    assert_same_share(own_zeroed, num_predicted, float(zeroed), int(int(trials) * float(predicted)))
    ids, labels = masked_tokens
    chosen = labels != IGNORED_LABEL
    own = chosen.mean(), (ids[chosen] == MASK_ID).mean(), (ids[chosen] == TOKEN_ID).mean()
    pattern = r"random_word measured: labelled ([\d.]+), of these \[MASK\] ([\d.]+), unchanged ([\d.]+)"
    measured = [float(share) for share in re.search(pattern, notes).groups()]
    # The notes do not say on how many tokens, so the width of the bound cannot be computed.
    np.testing.assert_allclose(own, measured, atol=0.01)


def assert_same_share(first: float, first_trials: int, second: float, second_trials: int) -> None:
    pooled = (first * first_trials + second * second_trials) / (first_trials + second_trials)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / first_trials + 1 / second_trials))
    assert abs(first - second) < 4 * deviation


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 2**32), st.floats(0, 1))
def test_only_maskable_tokens_are_touched(maskable, seed, probability):
    maskable = np.array(maskable)
    ids = np.arange(len(maskable)) + TOKEN_ID
    before = ids.copy()
    rng = np.random.default_rng(seed)
    masked, labels = mask_tokens(
        ids, maskable=maskable, mask_token_id=MASK_ID, vocab_size=VOCABULARY, rng=rng, probability=probability
    )
    np.testing.assert_array_equal(ids, before)
    np.testing.assert_array_equal(masked[~maskable], ids[~maskable])
    assert (labels[~maskable] == IGNORED_LABEL).all()
    predicted = labels != IGNORED_LABEL
    np.testing.assert_array_equal(labels[predicted], ids[predicted])
    np.testing.assert_array_equal(masked[~predicted], ids[~predicted])


@pytest.mark.parametrize(("probability", "expected"), [(0.0, False), (1.0, True)])
def test_no_or_every_token_and_region(probability, expected):
    ids, everything = np.arange(100), np.ones(100, dtype=bool)
    rng = np.random.default_rng(0)
    _, labels = mask_tokens(
        ids, maskable=everything, mask_token_id=MASK_ID, vocab_size=9, rng=rng, probability=probability
    )
    assert ((labels != IGNORED_LABEL) == expected).all()
    mask = mask_regions(np.zeros((100, 4)), maskable=everything, rng=rng, probability=probability)
    assert (mask.predicted == expected).all()


def test_the_same_generator_gives_the_same_masks():
    boxes, maskable = random_regions(50).boxes, np.ones(50, dtype=bool)
    first, again, other = (mask_regions(boxes, maskable=maskable, rng=np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.predicted, again.predicted)
    np.testing.assert_array_equal(first.zeroed, again.zeroed)
    assert (first.predicted != other.predicted).any()


def test_unmaskable_regions_are_never_masked():
    maskable = np.arange(DRAWS) % 2 == 0
    mask = mask_regions(np.zeros((DRAWS, 4)), maskable=maskable, rng=np.random.default_rng(3))
    assert not mask.predicted[~maskable].any()
    assert not mask.zeroed[~maskable].any()
    assert_share(np.count_nonzero(mask.predicted), DRAWS // 2, 0.15)


def test_overlaps_leave_the_mean_s_denominator_and_nothing_else():
    # Boxes 0 and 1 share two thirds of their union, 1 and 2 overlap less than the threshold, 3 is far away.
    boxes = np.array([[0, 0, 99, 99], [0, 20, 99, 119], [0, 80, 99, 179], [300, 300, 399, 399]], dtype=np.float32)
    np.testing.assert_array_equal(overlapping_regions(boxes, np.array([True, False, False, False]), 0.4), [1, 1, 0, 0])
    plain, overlap = (
        mask_regions(
            boxes,
            maskable=np.array([True, False, False, False]),
            rng=np.random.default_rng(0),
            probability=1,
            overlap_threshold=threshold,
        )
        for threshold in (None, 0.4)
    )
    for mask in (plain, overlap):
        np.testing.assert_array_equal(mask.predicted, [1, 0, 0, 0])
        np.testing.assert_array_equal(mask.zeroed, [1, 0, 0, 0])
    assert (plain.mean_denominator, overlap.mean_denominator) == (4, 2)


def test_the_denominator_is_never_zero():
    everything = np.ones(3, dtype=bool)
    assert RegionMask(everything, everything, everything).mean_denominator == 1


@pytest.mark.parametrize(("code_base", "threshold"), [("beta", None), ("mt", 0.4), ("volta", 0.4)])
def test_global_feature_of_the_original_loaders(loader_record, code_base, threshold):
    arrays = loader_record(code_base).arrays
    boxes, features = arrays["inputs/mask.boxes"], arrays["inputs/mask.features"].copy()
    predicted, zeroed = arrays["outputs/mask.image_label"] == 1, arrays["outputs/mask.zeroed"] == 1
    uncounted = np.zeros_like(predicted) if threshold is None else overlapping_regions(boxes, predicted, threshold)
    if threshold is not None:
        np.testing.assert_array_equal(uncounted, arrays["outputs/mask.masked_label"] == 1)
        assert np.count_nonzero(uncounted & ~zeroed) == arrays["outputs/mask.overlap_but_not_zeroed"]
    features[zeroed] = 0
    own = features.sum(axis=0) / RegionMask(predicted, zeroed, uncounted).mean_denominator
    expected = arrays["outputs/mask.global_feature_first16"]
    np.testing.assert_allclose(own[: len(expected)], expected, atol=1e-6)
