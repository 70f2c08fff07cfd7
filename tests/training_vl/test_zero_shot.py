"""Scores beside their control and chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datasets_vl.captions import read_captions
from datasets_vl.local import LocalRegions
from tests.training_vl.tiny_data import SIZES, VALIDATION, write_data
from training_vl.arguments import ModelArguments
from training_vl.model_setup import build_model, load_config, load_processor
from training_vl.zero_shot import ExchangedRegions, exchange, measure_retrieval, retrieval_table


@pytest.mark.parametrize("count", [2, 3, 50])
def test_an_exchange_leaves_nothing_in_its_place(count: int) -> None:
    partner = exchange(count, seed=4)
    assert sorted(partner) == list(range(count))
    assert not (partner == np.arange(count)).any()
    assert (partner == exchange(count, seed=4)).all()


def test_only_images_with_captions_are_exchanged(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    regions = LocalRegions(data / "shards")
    exchanged = ExchangedRegions(regions, read_captions(data / "captions.jsonl", split="val"))
    own = [regions[number].features.tobytes() for number in range(len(regions))]
    new = [exchanged[number].features.tobytes() for number in range(len(exchanged))]
    assert [exchanged[number].image_id for number in range(len(exchanged))] == list(regions.image_ids)
    assert sorted(own[:VALIDATION]) == sorted(new[:VALIDATION])
    assert all(a != b for a, b in zip(own[:VALIDATION], new[:VALIDATION], strict=True))
    assert own[VALIDATION:] == new[VALIDATION:]


def test_a_model_that_knows_everything_and_its_control() -> None:
    owners = [0, 0, 1, 2, 2, 2, *range(3, 20)]
    scores = torch.nn.functional.one_hot(torch.tensor(owners), 20).float()
    table = retrieval_table(scores, owners)
    assert list(table)[:4] == ["caption to image R@1", "caption to image R@5", "caption to image R@10"] + [
        "image to caption R@1"
    ]
    for row in table.values():
        assert row["model"] == 1.0
        assert (
            row["exchanged"] == 0.0
        )  # the right answer scores 0, as all wrong ones but one: last by the rule of ties
    assert table["caption to image R@5"]["chance"] == pytest.approx(0.25)


def test_retrieval_takes_the_images_and_captions_asked_for(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    arguments = ModelArguments(config="visualbert", config_overrides=SIZES, tokenizer=str(data / "tokenizer"))
    config = load_config(arguments)
    model, processor = build_model(arguments, config), load_processor(arguments, config)
    regions = LocalRegions(data / "shards")
    captions = read_captions(data / "captions.jsonl", split="val")
    table = measure_retrieval(model, processor, regions, captions)
    assert table["caption to image R@1"]["chance"] == pytest.approx(1 / 6)
    # Captions of an image: 2 or 3 of 15.
    assert table["image to caption R@1"]["chance"] == pytest.approx((2 / 15 + 3 / 15) / 2)
    table = measure_retrieval(model, processor, regions, captions, num_images=4, captions_per_image=1)
    assert table["image to caption R@1"]["chance"] == pytest.approx(1 / 4)
    with pytest.raises(ValueError, match="two images at least, 1 have"):
        measure_retrieval(model, processor, regions, captions, num_images=1)
