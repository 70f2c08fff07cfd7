"""RefCOCO, RefCOCO+ and RefCOCOg: phrases that single out one object of a COCO image."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from datasets_vl.safe_pickle import load_pickle

from .benchmark import Benchmark, Option
from .coco_instances import ImageName, corners, image_names, look_up
from .mattnet import read_mattnet_detections
from .official_files import Annotation, read_json_list
from .proposals import ProposalBoxes
from .records import InvalidAnnotation, Record


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
    names = image_names(instances, image_id)
    wanted = {ref.identifier("ann_id") for ref in entries}
    boxes = {
        number: corners(annotation, "bbox")
        for annotation in read_json_list(instances, "annotations")
        if (number := annotation.identifier("id")) in wanted
    }
    for ref in entries:
        box = look_up(ref, "ann_id", boxes, instances)
        image = look_up(ref, "image_id", names, instances)
        for number, values in enumerate(ref.items("sentences")):
            sentence = Annotation(refs, f"{ref.place}.sentences[{number}]", values)
            yield {
                "example_id": sentence.identifier("sent_id"),
                "image_id": image,
                "sentence": _repaired(sentence.text("raw")),
                "box": box,
            }


def _read_refs(path: str | Path) -> list[Annotation]:
    try:
        content = load_pickle(Path(path).read_bytes())
    except pickle.UnpicklingError as error:
        raise InvalidAnnotation(path, "", str(error)) from error
    if not isinstance(content, list):
        raise InvalidAnnotation(path, "", f"expected a pickled list of references, got {content!r:.80}")
    return [Annotation(path, f"reference {number}", values) for number, values in enumerate(content)]


def _repaired(text: str) -> str:
    """The pickles come from Python 2, whose byte strings are UTF-8 and were read as latin1."""
    try:
        return text.encode("latin1").decode("utf-8")
    except UnicodeError:
        return text


def _read_proposals(detections: str | Path, options: Mapping[str, Any]) -> ProposalBoxes:
    return read_mattnet_detections(detections, **{name: options[name] for name in options if name != "refs"})


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
        read_proposals=_read_proposals,
    )


REFCOCO = _benchmark("refcoco", "RefCOCO", "refs(unc).p")
REFCOCO_PLUS = _benchmark("refcoco+", "RefCOCO+", "refs(unc).p")
REFCOCOG = _benchmark("refcocog", "RefCOCOg", "refs(umd).p, the usual one, or refs(google).p")
