"""Expressions and phrases with boxes in the built-in scenes, in the layouts of RefCOCO and Flickr30k Entities."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .scene_captions import SceneCaption, describe
from .scene_expressions import refer_to
from .scene_files import SceneSplit, image_file, image_number, whole_file
from .scenes import SHAPES, Scene, SceneObject, Stream

_MAX_OBJECTS = 5
_MAX_EXPRESSIONS = 10
"""Numbers of objects and expressions set aside for each picture and each object."""


def write_refcoco(folder: Path, splits: Sequence[SceneSplit]) -> None:
    """Writes `refs(scenes).p`, a pickle with the expressions of all splits, and `instances.json`.

    Args:
        folder: Where to.
        splits: The scenes.
    """
    refs: list[dict[str, Any]] = []
    instances: dict[str, list[dict[str, Any]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k, "name": shape, "supercategory": "shape"} for k, shape in enumerate(SHAPES, start=1)],
    }
    for split in splits:
        for scene in split:
            instances["images"].append(_coco_image(scene))
            instances["annotations"] += [_coco_annotation(scene, number) for number in range(len(scene.objects))]
            expressions = refer_to(scene, scene.generator(Stream.EXPRESSIONS))
            refs += [_reference(scene, number, texts) for number, texts in expressions]
    with whole_file(folder / "instances.json") as file:
        json.dump(instances, file)
    # Without memo: whether two equal strings are one object is up to the Python at hand, and would show in the bytes.
    with whole_file(folder / "refs(scenes).p") as file:
        pickler = pickle.Pickler(file.buffer, protocol=2)
        pickler.fast = True
        pickler.dump(refs)


def write_flickr30k_entities(folder: Path, split: SceneSplit) -> None:
    """Writes `Sentences/<image id>.txt`, `Annotations/<image id>.xml` and the list of ids `<split>.txt`.

    Args:
        folder: Where to.
        split: The scenes.
    """
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with whole_file(folder / f"{split.name}.txt") as listing:
        for scene in split:
            with whole_file(folder / "Sentences" / f"{scene.image_id}.txt") as file:
                file.writelines(_marked(scene, caption) + "\n" for caption in describe(scene))
            with whole_file(folder / "Annotations" / f"{scene.image_id}.xml") as file:
                file.writelines(line + "\n" for line in _entity_boxes(scene))
            listing.write(scene.image_id + "\n")


def _coco_image(scene: Scene) -> dict[str, Any]:
    return {
        "id": image_number(scene),
        "file_name": image_file(scene),
        "width": scene.width,
        "height": scene.height,
    }


def _coco_annotation(scene: Scene, number: int) -> dict[str, Any]:
    item = scene.objects[number]
    x1, y1, x2, y2 = item.box
    return {
        "id": _object_number(scene, number),
        "image_id": image_number(scene),
        "category_id": _category(item),
        "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
        "area": round((x2 - x1) * (y2 - y1), 2),
        "segmentation": [[round(value, 2) for value in (x1, y1, x2, y1, x2, y2, x1, y2)]],
        "iscrowd": 0,
    }


def _reference(scene: Scene, number: int, texts: Sequence[str]) -> dict[str, Any]:
    object_number = _object_number(scene, number)
    sent_ids = [object_number * _MAX_EXPRESSIONS + k for k in range(len(texts))]
    return {
        "ref_id": object_number,
        "ann_id": object_number,
        "image_id": image_number(scene),
        "category_id": _category(scene.objects[number]),
        "file_name": image_file(scene),
        "split": scene.split,
        "sent_ids": sent_ids,
        "sentences": [
            {"sent_id": sent_id, "raw": text, "sent": text, "tokens": text.split()}
            for sent_id, text in zip(sent_ids, texts, strict=True)
        ],
    }


def _object_number(scene: Scene, number: int) -> int:
    """A number of an object, unique over all pictures; from 1, since entity 0 is what cannot be seen."""
    return image_number(scene) * _MAX_OBJECTS + number + 1


def _category(item: SceneObject) -> int:
    return SHAPES.index(item.shape) + 1


def _marked(scene: Scene, caption: SceneCaption) -> str:
    """The caption with its phrases in brackets, punctuation standing alone."""
    parts, done = [], 0
    for phrase in caption.phrases:
        words = caption.text[phrase.start : phrase.end]
        parts += [
            caption.text[done : phrase.start],
            f"[/EN#{_object_number(scene, phrase.object_index)}/other {words}]",
        ]
        done = phrase.end
    return "".join([*parts, caption.text[done:]]).replace(",", " ,")


def _entity_boxes(scene: Scene) -> Iterator[str]:
    yield f"<annotation><filename>{image_file(scene)}</filename>"
    yield f"<size><width>{scene.width}</width><height>{scene.height}</height><depth>3</depth></size>"
    for number, item in enumerate(scene.objects):
        # The first pixel is 1 in this layout.
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (round(corner) + 1 for corner in item.box), strict=True)
        box = "".join(f"<{name}>{value}</{name}>" for name, value in corners)
        yield f"<object><name>{_object_number(scene, number)}</name><bndbox>{box}</bndbox></object>"
    yield "</annotation>"
