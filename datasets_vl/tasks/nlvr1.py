"""NLVR (the first): is a statement true of a drawing of three boxes?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .benchmark import Benchmark, Option
from .official_files import Annotation, read_json_lines
from .records import Record

LABELS = ("false", "true")


def read_nlvr1(annotations: str | Path, *, image_split: str | None = None) -> Iterator[Record]:
    """Reads the statements of one file.

    Args:
        annotations: `train.json`, `dev.json` or `test.json`: JSON lines.
        image_split: How the file names of the images begin: "train", "dev" or "test". An example's image is then
            `<image_split>-<identifier>-0`, the first of six drawings that differ in the order of the boxes. Needed
            where the lines have no `image_id`, which the official ones have not.

    Yields:
        Records of `classification` about one image.

    Raises:
        InvalidAnnotation: If a line is not what it should be.
    """
    for row in read_json_lines(annotations):
        label = row.optional_text("label")
        if label is not None and label not in LABELS:
            raise row.error(f"label must be one of {', '.join(LABELS)}, got {label!r}")
        identifier = row.text("identifier")
        yield {
            "example_id": identifier,
            "image_ids": [_image_id(row, identifier, image_split)],
            "sentence": row.text("sentence"),
            "label": label,
            "group": None,
        }


def _image_id(row: Annotation, identifier: str, image_split: str | None) -> str:
    if "image_id" in row.values:
        return row.identifier("image_id")
    if image_split is None:
        raise row.error("has no image_id: say with image_split whether the images are those of train, dev or test")
    return f"{image_split}-{identifier}-0"


NLVR1 = Benchmark(
    name="nlvr1",
    kind="classification",
    summary="NLVR: statements about drawings of three boxes",
    read=read_nlvr1,
    options={
        "annotations": Option(help="train.json, dev.json or test.json", required=True),
        "image_split": Option(
            help="which images, where the lines have no image_id: <image-split>-<identifier>-0",
            choices=("train", "dev", "test"),
        ),
    },
    labels=LABELS,
)
