"""Images written in the layouts of the public code bases, by hand: nothing here uses the readers under test."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

LXMERT = [
    "img_id",
    "img_h",
    "img_w",
    "objects_id",
    "objects_conf",
    "attrs_id",
    "attrs_conf",
    "num_boxes",
    "boxes",
    "features",
]
BOTTOM_UP = ["image_id", "image_w", "image_h", "num_boxes", "boxes", "features"]


def raw_image(number: int, *, regions: int = 3, dim: int = 8, classes: int = 5) -> dict[str, Any]:
    """The fields of one image of 640 x 480 pixels, under the names of VOLTA."""
    rng = np.random.default_rng(number)
    corners = rng.uniform(0, [500, 400], size=(regions, 2))
    return {
        "img_id": f"COCO_train2014_{number:012d}",
        "img_h": 480,
        "img_w": 640,
        "objects_id": rng.integers(1600, size=regions),
        "objects_conf": rng.random(regions, dtype=np.float32),
        "attrs_id": rng.integers(400, size=regions),
        "attrs_conf": rng.random(regions, dtype=np.float32),
        "num_boxes": regions,
        "boxes": np.concatenate([corners, corners + rng.uniform(5, 80, size=(regions, 2))], axis=1).astype(np.float32),
        "features": rng.random((regions, dim), dtype=np.float32),
        "cls_prob": rng.dirichlet(np.ones(classes), size=regions).astype(np.float32),
    }


def encode(value: Any) -> str:
    """A field of a TSV file."""
    return base64.b64encode(value.tobytes()).decode() if isinstance(value, np.ndarray) else str(value)


def tsv_line(image: dict[str, Any], fields: Sequence[str] = LXMERT, end: str = "\n") -> str:
    aliases = {"image_id": "img_id", "image_w": "img_w", "image_h": "img_h"}
    return "\t".join(encode(image[aliases.get(name, name)]) for name in fields) + end


def write_tsv(path: Path, images: Sequence[dict[str, Any]], fields: Sequence[str] = LXMERT) -> Path:
    path.write_text("".join(tsv_line(image, fields) for image in images))
    return path


def write_npz(folder: Path, images: Sequence[dict[str, Any]]) -> Path:
    """As MILVLG's `extract_utils.py` saves: `info` is a pickled dictionary with arrays in it."""
    folder.mkdir()
    for image in images:
        info = {
            "image_id": image["img_id"],
            "image_h": image["img_h"],
            "image_w": image["img_w"],
            "num_boxes": image["num_boxes"],
            **{name: image[name] for name in ("objects_id", "objects_conf", "attrs_id", "attrs_conf")},
        }
        np.savez_compressed(
            folder / image["img_id"],
            x=image["features"],
            bbox=image["boxes"],
            num_bbox=image["num_boxes"],
            image_h=image["img_h"],
            image_w=image["img_w"],
            info=info,
        )
    return folder


def write_npy(folder: Path, images: Sequence[dict[str, Any]]) -> Path:
    """As vilbert-multi-task's `extract_features.py` saves: `objects` comes without the first region."""
    folder.mkdir()
    for image in images:
        info = {
            "bbox": image["boxes"],
            "num_boxes": image["num_boxes"],
            "objects": image["cls_prob"][1:].argmax(axis=1),
            "image_width": image["img_w"],
            "image_height": image["img_h"],
            "cls_prob": image["cls_prob"],
            "image_id": image["img_id"],
            "features": image["features"],
        }
        np.save(folder / f"{image['img_id']}.npy", info, allow_pickle=True)
    return folder


def write_lmdb(path: Path, items: dict[str, Any], *, protocol: int = 4, index: bool = True) -> Path:
    """As the `convert_*_lmdb.py` scripts write: an item is pickled unless it is bytes already."""
    import lmdb

    with lmdb.open(str(path), map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        for key, item in items.items():
            value = item if isinstance(item, bytes) else pickle.dumps(item, protocol)
            transaction.put(key.encode(), value)
        if index:
            transaction.put(b"keys", pickle.dumps([key.encode() for key in items], protocol))
    return path


def write_h5(path: Path, images: Sequence[dict[str, Any]], *, sizes: str = "data sets") -> Path:
    """As VOLTA's `large_tsv_to_h5.py` writes; image sizes as data sets or as attributes."""
    import h5py

    names = {"objects_id": "obj_id", "objects_conf": "obj_conf", "attrs_id": "attr_id", "attrs_conf": "attr_conf"}
    with h5py.File(path, "w") as file:
        for image in images:
            group = file.create_group(image["img_id"])
            for name in ("features", "boxes", *names):
                group[names.get(name, name)] = image[name]
            for name in ("img_w", "img_h"):
                if sizes == "attributes":
                    group.attrs[name] = image[name]
                else:
                    group[name] = image[name]
    return path


def write_uniter(folder: Path, images: Sequence[dict[str, Any]]) -> Path:
    """As UNITER's extraction saves: float16, boxes as shares of the image, confidences as a column."""
    folder.mkdir()
    for image in images:
        boxes = image["boxes"] / np.array([image["img_w"], image["img_h"]] * 2, dtype=np.float32)
        sides = boxes[:, 2:] - boxes[:, :2]
        norm_bb = np.concatenate([boxes, sides, sides[:, :1] * sides[:, 1:]], axis=1)
        np.savez_compressed(
            folder / image["img_id"],
            features=image["features"].astype(np.float16),
            norm_bb=norm_bb.astype(np.float16),
            conf=image["objects_conf"][:, None].astype(np.float16),
            soft_labels=image["cls_prob"].astype(np.float16),
        )
    (folder.parent / "sizes.csv").write_text(
        "image_id,width,height\n" + "".join(f"{i['img_id']},{i['img_w']},{i['img_h']}\n" for i in images)
    )
    return folder


def assert_equal(regions: Any, image: dict[str, Any], *names: str) -> None:
    """Every field that `names` lists arrived bit for bit, beside boxes, features and size."""
    fields = {
        "boxes": "boxes",
        "features": "features",
        "objects_id": "object_ids",
        "objects_conf": "object_scores",
        "attrs_id": "attribute_ids",
        "attrs_conf": "attribute_scores",
        "cls_prob": "class_probs",
    }
    assert (regions.width, regions.height) == (image["img_w"], image["img_h"])
    for name in ("boxes", "features", *names):
        np.testing.assert_array_equal(getattr(regions, fields[name]), image[name], err_msg=name, strict=True)
