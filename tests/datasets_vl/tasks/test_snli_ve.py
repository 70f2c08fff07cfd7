from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks.records import InvalidAnnotation
from datasets_vl.tasks.snli_ve import read_snli_ve
from tests.datasets_vl.tasks.sample_files import SAMPLES, edited_lines

DEV = SAMPLES / "snli_ve" / "snli_ve_dev.jsonl"


def test_pairs_are_read_and_those_without_agreement_counted() -> None:
    left_out = Counter()
    records = list(read_snli_ve(DEV, left_out=left_out))
    assert records[1] == {
        "example_id": "2407214681.jpg#0r1n",
        "image_ids": ["2407214681"],
        "sentence": "Two brothers are happy.",
        "label": "neutral",
        "group": None,
    }
    assert [record["label"] for record in records] == ["entailment", "neutral", "contradiction"]
    assert left_out == {"no agreement on the label": 1}
    assert list(read_snli_ve(DEV)) == records


@pytest.mark.parametrize("older", ["Flickr30kID", "Flikr30kID"])
def test_the_older_names_of_the_image_are_known(tmp_path: Path, older: str) -> None:
    def rename(row: dict[str, Any]) -> None:
        row[older] = row.pop("Flickr30K_ID") + ".jpg"

    assert next(read_snli_ve(edited_lines(DEV, tmp_path, 1, rename)))["image_ids"] == ["2407214681"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gold_label": "maybe"}, "gold_label must be - or one of contradiction, neutral, entailment, got 'maybe'"),
        ({"gold_label": None}, "gold_label must be a text that is not empty, got None"),
        ({"Flickr30K_ID": ""}, "Flickr30K_ID must be a text or a whole number, got ''"),
        ({"sentence2": 3}, "sentence2 must be a text that is not empty, got 3"),
    ],
)
def test_lines_that_are_not_right_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = edited_lines(DEV, tmp_path, 2, lambda row: row.update(changes))
    with pytest.raises(InvalidAnnotation, match=rf"snli_ve_dev\.jsonl, line 2: {message}"):
        list(read_snli_ve(file))


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    file = edited_lines(DEV, tmp_path, 1, lambda row: row.pop("Flickr30K_ID"))
    with pytest.raises(InvalidAnnotation, match=r"line 1: has no Flickr30K_ID; it has annotator_labels, captionID"):
        list(read_snli_ve(file))
