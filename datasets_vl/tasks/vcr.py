"""VCR: questions about film scenes, each with four answers and four rationales that mention people and things."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from .benchmark import Benchmark, Option
from .official_files import Annotation, read_json, read_json_lines
from .records import Record

ImageName = Literal["img_id", "file_name", "number"]

PERSON = "person"
NEUTRAL_NAMES = (
    *("Alex", "Sam", "Robin", "Morgan", "Jordan", "Taylor", "Charlie", "Jamie", "Rowan", "Blair"),
    *("Drew", "Lee", "Sidney", "Ashley", "Kelly", "Chris", "Terry", "Dana", "Ellis", "Marion"),
)
"""Names that tell no sex. The n-th person of an image has the n-th name, from the first again after the last."""

# How the features of vilbert_beta number images: train-7 is 7, val-7 is 1000007, test-7 is 2000007.
_NUMBER_BASES = {"train": 0, "val": 1_000_000, "test": 2_000_000}


class _Objects(NamedTuple):
    """The objects of an image: what they are, where they are, and what the texts call them."""

    classes: list[str]
    boxes: list[list[float]]
    words: list[str]


def read_vcr(annotations: str | Path, images: str | Path, *, image_id: ImageName = "img_id") -> Iterator[Record]:
    """Reads the questions of one file.

    The official texts are lists of words in which `[0, 2]` stands for the objects 0 and 2. A person is called by a
    neutral name, another object by its class: "Alex and dog". Each such word is a mention of its object.

    Args:
        annotations: `train.jsonl`, `val.jsonl` or `test.jsonl`.
        images: Folder `vcr1images`, with a metadata file for every image (`metadata_fn`), which holds the boxes.
        image_id: What names an image: "img_id" (`train-0`), "file_name" (the stem of `img_fn`), or "number", as in
            the features of vilbert_beta (0 and up, for val 1000000 and up, for test 2000000 and up).

    Yields:
        Records of `multiple_choice`, in a test split without labels. The same record serves Q->A and QA->R, and its
        `annot_id` joins the two for Q->AR.

    Raises:
        InvalidAnnotation: If a file or line is not what it should be.
        ValueError: If `image_id` is unknown.
    """
    if image_id not in get_args(ImageName):
        raise ValueError(f"image_id must be one of {', '.join(get_args(ImageName))}, got {image_id!r}")
    known_file, boxes = None, []
    for row in read_json_lines(annotations):
        file = Path(images) / row.text("metadata_fn")
        if file != known_file:  # the questions of an image follow each other
            known_file, boxes = file, _read_boxes(row, file)
        objects = _objects(row, boxes, file)
        answers, rationales = (
            [_text(row, f"{name}[{number}]", tokens, objects) for number, tokens in enumerate(row.items(name))]
            for name in ("answer_choices", "rationale_choices")
        )
        yield {
            "example_id": row.text("annot_id"),
            "image_id": _image_id(row, image_id),
            "question": _text(row, "question", row.items("question"), objects),
            "answers": answers,
            "answer_label": row.number_below("answer_label", len(answers)),
            "rationales": rationales,
            "rationale_label": row.number_below("rationale_label", len(rationales)),
            "object_boxes": objects.boxes,
            "object_names": objects.classes,
        }


def _read_boxes(row: Annotation, file: Path) -> list[list[float]]:
    if not file.is_file():
        raise row.error(f"there is no metadata file {file}: is images the folder vcr1images?")
    metadata = Annotation(file, "", read_json(file))
    boxes = metadata.items("boxes")
    for number, box in enumerate(boxes):
        if not isinstance(box, list) or len(box) not in (4, 5) or not all(isinstance(n, (int, float)) for n in box):
            raise metadata.error(f"boxes[{number}] must be x1, y1, x2, y2 and a score, got {box!r:.80}")
    return [box[:4] for box in boxes]


def _objects(row: Annotation, boxes: list[list[float]], file: Path) -> _Objects:
    classes = row.items("objects")
    if len(classes) != len(boxes):
        raise row.error(f"has {len(classes)} objects, {file} has {len(boxes)} boxes")
    for number, name in enumerate(classes):
        if not isinstance(name, str) or not name:
            raise row.error(f"objects[{number}] must be the name of a class, got {name!r:.80}")
    names = itertools.cycle(NEUTRAL_NAMES)
    return _Objects(classes, boxes, [next(names) if name == PERSON else name for name in classes])


def _text(row: Annotation, place: str, tokens: Any, objects: _Objects) -> dict[str, Any]:
    """Words with the objects' names put in, and where these stand."""
    if not isinstance(tokens, list) or not tokens:
        raise row.error(f"{place} must be a list of words and of lists of object numbers, got {tokens!r:.80}")
    text, mentions = "", []
    for token in tokens:
        numbers = _object_numbers(row, place, token, objects)
        for count, word in enumerate([token] if numbers is None else [objects.words[number] for number in numbers]):
            text += " and " if count else " " if text else ""
            if numbers is not None:
                mentions.append({"start": len(text), "end": len(text) + len(word), "objects": [numbers[count]]})
            text += word
    return {"text": text, "mentions": mentions}


def _object_numbers(row: Annotation, place: str, token: Any, objects: _Objects) -> Sequence[int] | None:
    """The objects that a token names; None for a word."""
    if isinstance(token, str) and token:
        return None
    if not isinstance(token, list) or not token:
        raise row.error(f"{place} must hold words and lists of object numbers, got {token!r:.80}")
    for number in token:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(objects.words):
            raise row.error(
                f"{place} names object {number!r}, the image has the objects 0 to {len(objects.words) - 1}"
            )
    return token


def _image_id(row: Annotation, image_name: ImageName) -> str:
    if image_name == "file_name":
        return Path(row.text("img_fn")).stem
    image_id = row.text("img_id")
    if image_name == "img_id":
        return image_id
    split, _, number = image_id.rpartition("-")
    if split not in _NUMBER_BASES or not number.isdecimal():
        raise row.error(f"img_id must be train-, val- or test- and a number, got {image_id!r}")
    return str(_NUMBER_BASES[split] + int(number))


VCR = Benchmark(
    name="vcr",
    kind="multiple_choice",
    summary="VCR: questions about film scenes with four answers and four rationales",
    read=read_vcr,
    options={
        "annotations": Option(help="train.jsonl, val.jsonl or test.jsonl", required=True),
        "images": Option(help="folder vcr1images with the metadata files", required=True),
        "image_id": Option(
            help="what the region features name an image by (default: img_id)", choices=get_args(ImageName)
        ),
    },
)
