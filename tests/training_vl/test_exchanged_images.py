"""The control: images that change places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets_vl.captions import read_captions
from datasets_vl.local import LocalRegions
from tests.training_vl.tiny_data import VALIDATION, write_data
from training_vl.exchanged_images import ExchangedRegions, exchange


@pytest.mark.parametrize("count", [2, 3, 50])
def test_an_exchange_leaves_nothing_in_its_place(count: int) -> None:
    partner = exchange(count, seed=4)
    assert sorted(partner) == list(range(count))
    assert not (partner == np.arange(count)).any()
    assert (partner == exchange(count, seed=4)).all()


def test_only_images_with_captions_are_exchanged(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    regions = LocalRegions(data / "shards")
    exchanged = ExchangedRegions(regions, read_captions(data / "captions.jsonl", split="val").image_ids.array)
    own = [regions[number].features.tobytes() for number in range(len(regions))]
    new = [exchanged[number].features.tobytes() for number in range(len(exchanged))]
    assert [exchanged[number].image_id for number in range(len(exchanged))] == list(regions.image_ids)
    assert sorted(own[:VALIDATION]) == sorted(new[:VALIDATION])
    assert all(a != b for a, b in zip(own[:VALIDATION], new[:VALIDATION], strict=True))
    assert own[VALIDATION:] == new[VALIDATION:]
    assert exchanged.index_of("image-7") == regions.index_of("image-7")
