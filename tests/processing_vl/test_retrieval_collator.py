"""Batches of texts and images to be scored against each other."""

from __future__ import annotations

import pytest
import torch

from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.retrieval_collator import RetrievalCollator, RetrievalExample
from tests.minilm import tokenizer
from tests.random_regions import random_regions

TEXT = "a man in a red shirt rides a bicycle along the river"


def collator(**settings: float) -> RetrievalCollator:
    processor = RegionTextProcessor(RegionFeatureExtractor(8, global_region=None), tokenizer())
    return RetrievalCollator(processor, max_text_length=16, **settings)


def example(image: int, *, texts: int = 1, others: tuple[int, ...] = (), epoch: int = 0) -> RetrievalExample:
    return RetrievalExample(
        texts=[f"{TEXT} {image} {number}" for number in range(texts)],
        images=[random_regions(3 + number % 2, seed=number) for number in (image, *others)],
        candidates=[(0, 0), (1, 0), (0, 1)] if others else [],
        rng_key=(0, epoch, image),
    )


def test_an_image_that_comes_twice_is_one_row_with_two_texts() -> None:
    batch = collator()([example(4), example(7), example(4, texts=2)])
    assert batch["owners"].tolist() == [0, 1, 0, 0]
    assert batch["visual_embeds"].shape == (2, 4, 8)
    assert batch["visual_attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert len(batch["input_ids"]) == 4
    assert "pair_index" not in batch


def test_candidates_are_pairs_of_rows() -> None:
    batch = collator()([example(4, texts=2, others=(7,)), example(7, texts=2, others=(5,))])
    assert batch["pair_index"].tolist() == [[[0, 0], [1, 0], [0, 1]], [[2, 1], [3, 1], [2, 2]]]
    assert batch["labels"].tolist() == [0, 0]
    expected = torch.from_numpy(random_regions(4, seed=7).features).float()
    torch.testing.assert_close(batch["visual_embeds"][1], expected)
    assert "owners" not in batch


def test_what_is_hidden_is_drawn_for_the_example_and_the_epoch() -> None:
    hides = collator(feature_dropout=0.5, token_dropout=0.5)
    first, again = hides([example(4), example(7)]), hides([example(7), example(4)])
    for name in ("input_ids", "visual_embeds"):
        assert torch.equal(first[name][0], again[name][1])
        assert not torch.equal(first[name], hides([example(4, epoch=1), example(7, epoch=1)])[name])


def test_shares_are_hidden_and_special_tokens_stay() -> None:
    examples = [example(image) for image in range(200)]
    plain = collator()(examples)
    hidden = collator(feature_dropout=0.25, token_dropout=0.4)(examples)
    kept = hidden["visual_embeds"] != 0
    real = plain["visual_embeds"] != 0
    assert kept[real].float().mean().item() == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(hidden["visual_embeds"][kept], plain["visual_embeds"][kept] / 0.75)
    masked = hidden["input_ids"] == tokenizer().mask_token_id
    special = torch.isin(plain["input_ids"], torch.tensor(tokenizer().all_special_ids))
    assert not (masked & special).any()
    assert masked[~special].float().mean().item() == pytest.approx(0.4, abs=0.03)
    assert torch.equal(hidden["input_ids"][~masked], plain["input_ids"][~masked])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_dropout": 1.0}, r"feature_dropout must lie in \[0, 1\), got 1.0"),
        ({"token_dropout": -0.1}, r"token_dropout must lie in \[0, 1\), got -0.1"),
    ],
)
def test_impossible_shares_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collator(**settings)


def test_batches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="no examples"):
        collator()([])
    with pytest.raises(ValueError, match=r"equally many candidates, got \[0, 3\]"):
        collator()([example(4), example(7, texts=2, others=(5,))])
