"""SNLI-VE: does a Flickr30k image entail a sentence, contradict it, or neither?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from metrics_vl.labels import SNLI_VE_LABELS

from .benchmark import Benchmark, Option
from .official_files import read_json_lines
from .records import Record

NO_AGREEMENT = "-"
IMAGE_FIELDS = ("Flickr30K_ID", "Flickr30kID", "Flikr30kID")
"""What names the image: today's field, and two of earlier releases with the image's file name, the last misspelt."""


def read_snli_ve(annotations: str | Path, *, left_out: Counter[str] | None = None) -> Iterator[Record]:
    """Reads the pairs of one file.

    Args:
        annotations: `snli_ve_{train,dev,test}.jsonl`.
        left_out: Counts, by reason, the rows that are not yielded: those on whose label people did not agree.

    Yields:
        Records of `classification` about one image.

    Raises:
        InvalidAnnotation: If a line is not what it should be.
    """
    for row in read_json_lines(annotations):
        label = row.text("gold_label")
        if label == NO_AGREEMENT:
            if left_out is not None:
                left_out["no agreement on the label"] += 1
            continue
        if label not in SNLI_VE_LABELS:
            raise row.error(f"gold_label must be {NO_AGREEMENT} or one of {', '.join(SNLI_VE_LABELS)}, got {label!r}")
        name = next((name for name in IMAGE_FIELDS if name in row.values), IMAGE_FIELDS[0])
        yield {
            "example_id": row.text("pairID"),
            "image_ids": [row.identifier(name).removesuffix(".jpg")],
            "sentence": row.text("sentence2"),
            "label": label,
            "group": None,
        }


SNLI_VE = Benchmark(
    name="snli_ve",
    kind="classification",
    summary="SNLI-VE: visual entailment on Flickr30k images",
    read=read_snli_ve,
    options={"annotations": Option(help="snli_ve_{train,dev,test}.jsonl", required=True)},
    labels=SNLI_VE_LABELS,
    counts_left_out=True,
)
