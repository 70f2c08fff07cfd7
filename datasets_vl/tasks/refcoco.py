"""RefCOCO, RefCOCO+ and RefCOCOg: phrases that single out one object of a COCO image."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np

from datasets_vl.safe_pickle import load_pickle

from .benchmark import Benchmark, Option
from .official_files import Annotation, read_json, read_json_list
from .records import InvalidAnnotation, Record

_Known = TypeVar("_Known")

ImageName = Literal["file_name", "cocoid"]


def read_refcoco(
    refs: str | Path, instances: str | Path, *, split: str = "train", image_id: ImageName = "file_name"
) -> Iterator[Record]:
    """Reads the expressions of one split.

    Args:
        refs: `refs(unc).p` or `refs(umd).p`, a pickle; it is read without executing anything of it.
        instances: `instances.json` beside it.
        split: "train", "val", and "testA" and "testB" or "test".
        image_id: What names an image: the stem of its file name (`COCO_train2014_000000000009`), or "cocoid", the
            number (`9`). Take what the region features use.

    Yields:
        Records of `referring_expressions`, named by `sent_id`: the expressions as people typed them (`raw`), each with
        the object's box.

    Raises:
        InvalidAnnotation: If a file is not what it should be, or the split does not occur in it.
        ValueError: If `image_id` is unknown.
    """
    entries = _read_refs(refs)
    splits = sorted({ref.text("split") for ref in entries})
    if split not in splits:
        raise InvalidAnnotation(refs, "", f"has no split {split!r}, it has {', '.join(splits)}")
    entries = [ref for ref in entries if ref.text("split") == split]
    names = _image_names(instances, image_id)
    wanted = {ref.identifier("ann_id") for ref in entries}
    boxes = {
        number: _corners(annotation, "bbox")
        for annotation in read_json_list(instances, "annotations")
        if (number := annotation.identifier("id")) in wanted
    }
    for ref in entries:
        box = _look_up(ref, "ann_id", boxes, instances)
        image = _look_up(ref, "image_id", names, instances)
        for number, values in enumerate(ref.items("sentences")):
            sentence = Annotation(refs, f"{ref.place}.sentences[{number}]", values)
            yield {
                "example_id": sentence.identifier("sent_id"),
                "image_id": image,
                "sentence": _repaired(sentence.text("raw")),
                "box": box,
            }


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProposalBoxes:
    """Boxes that a named detector proposes: a grounding accuracy means something only together with their source.

    Attributes:
        source: Which detector, in words.
        boxes: Corners x1 y1 x2 y2 in pixels by image id, float32 `[R, 4]`.
        scores: float32 `[R]` likewise.
    """

    source: str
    boxes: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]


def read_mattnet_detections(
    detections: str | Path,
    instances: str | Path,
    *,
    image_id: ImageName = "file_name",
    source: str = "MAttNet's Mask R-CNN (ResNet-101, trained without the images of RefCOCO's val and test)",
) -> ProposalBoxes:
    """Reads the detections that are usual in comparisons on RefCOCO, `res101_coco_minus_refer_notime_dets.json`.

    Args:
        detections: The file: a list of `{"image_id", "box" (x, y, width, height), "score", ...}`.
        instances: The `instances.json` of the same data set, which names the images.
        image_id: As for `read_refcoco`.
        source: What to call them.

    Returns:
        The boxes of each image in the order of the file.

    Raises:
        InvalidAnnotation: If a file is not what it should be.
    """
    names = _image_names(instances, image_id)
    content = read_json(detections)
    if not isinstance(content, list):
        raise InvalidAnnotation(detections, "", f"expected a list of detections, got {content!r:.80}")
    found: dict[str, list[tuple[list[float], float]]] = {}
    for number, values in enumerate(content):
        detection = Annotation(detections, f"detection {number}", values)
        score = detection.get("score")
        if isinstance(score, bool) or not isinstance(score, (int, float)):
            raise detection.error(f"score must be a number, got {score!r:.80}")
        rows = found.setdefault(_look_up(detection, "image_id", names, instances), [])
        rows.append((_corners(detection, "box"), score))
    return ProposalBoxes(
        source=source,
        boxes={name: np.array([box for box, _ in rows], np.float32) for name, rows in found.items()},
        scores={name: np.array([score for _, score in rows], np.float32) for name, rows in found.items()},
    )


def _read_refs(path: str | Path) -> list[Annotation]:
    try:
        content = load_pickle(Path(path).read_bytes())
    except pickle.UnpicklingError as error:
        raise InvalidAnnotation(path, "", str(error)) from error
    if not isinstance(content, list):
        raise InvalidAnnotation(path, "", f"expected a pickled list of references, got {content!r:.80}")
    return [Annotation(path, f"reference {number}", values) for number, values in enumerate(content)]


def _image_names(instances: str | Path, image_id: ImageName) -> dict[str, str]:
    """What names each image of `instances.json`, by its number there."""
    if image_id not in get_args(ImageName):
        raise ValueError(f"image_id must be one of {', '.join(get_args(ImageName))}, got {image_id!r}")
    images = read_json_list(instances, "images")
    if image_id == "cocoid":
        return {(number := image.identifier("id")): number for image in images}
    return {image.identifier("id"): Path(image.text("file_name")).stem for image in images}


def _look_up(record: Annotation, field: str, known: Mapping[str, _Known], instances: str | Path) -> _Known:
    key = record.identifier(field)
    if key not in known:
        raise record.error(f"{field} {key} is not in {instances}")
    return known[key]


def _corners(record: Annotation, field: str) -> list[float]:
    """Turns x, y, width, height into x1, y1, x2, y2."""
    box = record.items(field)
    if len(box) != 4 or any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in box) or min(box[2:]) <= 0:
        raise record.error(f"{field} must be x, y, width and height, with an area, got {box!r:.80}")
    x, y, width, height = map(float, box)
    return [x, y, x + width, y + height]


def _repaired(text: str) -> str:
    """The pickles come from Python 2, whose byte strings are UTF-8 and were read as latin1."""
    try:
        return text.encode("latin1").decode("utf-8")
    except UnicodeError:
        return text


def _benchmark(name: str, title: str, refs: str) -> Benchmark:
    return Benchmark(
        name=name,
        kind="referring_expressions",
        summary=f"{title}: the box of the object that an expression singles out",
        read=read_refcoco,
        options={
            "refs": Option(help=refs, required=True),
            "instances": Option(help="instances.json", required=True),
            "image_id": Option(
                help="what names an image: the stem of its file name (default), or its number",
                choices=get_args(ImageName),
            ),
        },
        reads_split=True,
    )


REFCOCO = _benchmark("refcoco", "RefCOCO", "refs(unc).p")
REFCOCO_PLUS = _benchmark("refcoco+", "RefCOCO+", "refs(unc).p")
REFCOCOG = _benchmark("refcocog", "RefCOCOg", "refs(umd).p, the usual one, or refs(google).p")
