"""Scores beside their control and chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets_vl.captions import read_captions
from datasets_vl.local import LocalRegions
from tests.training_vl.tiny_data import SIZES, write_data
from training_vl.arguments import ModelArguments
from training_vl.model_setup import build_model, load_config, load_processor
from training_vl.zero_shot import measure_retrieval


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
