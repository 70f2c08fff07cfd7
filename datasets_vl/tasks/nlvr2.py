"""NLVR2: is a statement true of a pair of photographs?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from metrics_vl.nlvr2 import LABELS

from .benchmark import Benchmark, Option
from .official_files import read_json_lines
from .records import Record

_IDENTIFIER = re.compile(r"(?P<split>[^-]+)-(?P<set>\d+)-(?P<pair>\d+)-(?P<sentence>\d+)")


def read_nlvr2(annotations: str | Path) -> Iterator[Record]:
    """Reads the statements of one file.

    Args:
        annotations: `train.json`, `dev.json`, `test1.json`, `test2.json` or a balanced or unbalanced part: JSON lines.

    Yields:
        Records of `classification` about two images, `<split>-<set>-<pair>-img0` and `-img1`. The group is the
        identifier without the pair: consistency asks for a sentence to be judged right on all pairs of its set.

    Raises:
        InvalidAnnotation: If a line is not what it should be.
    """
    for row in read_json_lines(annotations):
        identifier = row.text("identifier")
        parts = _IDENTIFIER.fullmatch(identifier)
        if parts is None:
            raise row.error(f"identifier must be <split>-<set>-<pair>-<sentence>, got {identifier!r}")
        label = row.optional_text("label")
        if label is not None and label not in LABELS:
            raise row.error(f"label must be one of {', '.join(LABELS)}, got {label!r}")
        yield {
            "example_id": identifier,
            "image_ids": [f"{parts['split']}-{parts['set']}-{parts['pair']}-img{side}" for side in (0, 1)],
            "sentence": row.text("sentence"),
            "label": label,
            "group": f"{parts['split']}-{parts['set']}-{parts['sentence']}",
        }


NLVR2 = Benchmark(
    name="nlvr2",
    kind="classification",
    summary="NLVR2: statements about two photographs",
    read=read_nlvr2,
    options={"annotations": Option(help="train.json, dev.json, test1.json or test2.json", required=True)},
    labels=LABELS,
)
