"""Captions of images: one compact table, read from the caption files people have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from .image_ids import ImageIds
from .image_table import ImageTable, group_by_image
from .tasks.conceptual_captions import read_conceptual_captions
from .tasks.json_stream import read_outline, stream_list
from .tasks.records import InvalidAnnotation

_ALL_CAPTIONS = "Leave the split out (--split; in training --train_split, --val_split) to take all captions"
JSON_LINES_SUFFIXES = frozenset({".jsonl", ".jsonline", ".jsonlines", ".ndjson"})


class CaptionTable(ImageTable):
    """All captions of a split, numbered so that the captions of one image stand side by side.

    Memory is the text itself plus 8 bytes a caption and 16 an image: millions of captions fit any machine, and worker
    processes share them.

    Args:
        image_ids: Distinct image ids, `N` of them.
        offsets: int64 `[N + 1]`; image `i` has the captions `offsets[i]` to `offsets[i + 1] - 1`.
        texts: Captions, Arrow string array `[offsets[-1]]`.
    """

    row_name = "caption"
    naming_hint = "--caption_image_id (image_id of read_captions) names COCO images by file name or by number"

    def __init__(self, image_ids: ImageIds, offsets: np.ndarray, texts: pa.Array) -> None:
        super().__init__(image_ids, offsets, len(texts))
        self.texts = texts

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]]) -> CaptionTable:
        """Builds the table from `(image id, caption)` pairs, see `group_by_image`.

        Raises:
            ValueError: If there is no pair.
        """
        texts: list[str] = []

        def owners() -> Iterator[str]:
            for image_id, text in pairs:
                texts.append(text)
                yield image_id

        image_ids, offsets, order = group_by_image(owners())
        if not texts:
            raise ValueError("there is no caption")
        return cls(image_ids, offsets, pa.array(texts, pa.large_string()).take(order))

    captions_of = ImageTable.rows_of
    captions_at = ImageTable.rows_at

    def text(self, index: int) -> str:
        """Caption `index`."""
        return self.texts[index].as_py()

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of all ids and captions: a saved position means something only with the same table."""
        digest = hashlib.sha256()
        for column in (self.image_ids.array, pa.array(self.offsets), self.texts):
            # Through the IPC format: the buffers of a sliced array hold more than the slice.
            batch = pa.record_batch([column], names=["column"])
            digest.update(batch.serialize())
        return digest.hexdigest()[:16]


def read_captions(
    path: str | Path, *, split: str | None = None, image_id: Literal["file_name", "cocoid"] = "file_name"
) -> CaptionTable:
    """Reads a caption file; the layout is recognised by its content.

    * Karpathy's splits, `dataset_{coco,flickr8k,flickr30k}.json`: `images` with `filename`, `split`,
      `sentences[].raw` and, for COCO, `cocoid`
    * COCO, `captions_{train,val}2014.json`: `images` with `id` and `file_name`, `annotations` with
      `image_id` and `caption`
    * `{image id: caption or list of captions}`, as ViLBERT's `caption_train.json` of Conceptual Captions
    * rows `{"image_id": ..., "caption" or "sentence": ... | "captions" or "sentences": [...]}`, as JSON lines
      (`.jsonl`) or one JSON list; `img_path` may stand in for `image_id` and counts with its file name's stem. A row
      may have a `label`, true or false as in NLVR: a statement that is false of its image is no caption and left out
    * lines `caption <tab> URL` (`.tsv`), Conceptual Captions; the image id is the CRC-32 of the URL

    The large files, of Karpathy, of COCO and of rows, are read record by record: memory is that of the captions that
    are taken and, in COCO's layout, of what names the images, which stands apart from the captions there. `{image id:
    captions}` holds nothing but captions.

    Args:
        path: The file.
        split: Which images to take, where the file says so: `"train"`, or several as `"train+restval"`.
        image_id: What names an image in the two COCO layouts: the stem of its file name
            (`COCO_train2014_000000000009`), or `"cocoid"`, the number (`9`). Take what the region features use.

    Returns:
        The captions, by image in the order of the file.

    Raises:
        ValueError: If the file cannot be read as any of these, if a record lacks something (the message names file and
            record), or if `split` does not occur.
    """
    path = Path(path)
    source = _CaptionFile(path, frozenset(split.split("+")) if split is not None else None, image_id)
    try:
        return CaptionTable.from_pairs(source.pairs())
    except InvalidAnnotation:
        raise
    except _BadRecord as error:
        raise ValueError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}{f' (split {split!r})' if split else ''}: {error}{source.splits_hint()}") from error


class _BadRecord(ValueError):
    """A record that does not say what it must."""


class _CaptionFile:
    """One caption file being read."""

    def __init__(self, path: Path, splits: frozenset[str] | None, id_from: str) -> None:
        if id_from not in ("file_name", "cocoid"):
            raise ValueError(f"image_id must be 'file_name' or 'cocoid', got {id_from!r}")
        self.path = path
        self.splits = splits
        self.id_from = id_from
        self.splits_seen: set[str] = set()

    def splits_hint(self) -> str:
        return f"; the file has the splits {sorted(self.splits_seen)}" if self.splits_seen else ""

    def pairs(self) -> Iterator[tuple[str, str]]:
        if self.path.suffix == ".tsv":
            self._refuse_split()
            yield from read_conceptual_captions(self.path)
            return
        if self.path.suffix in JSON_LINES_SUFFIXES:
            yield from self._rows(self._json_lines())
            return
        content = read_outline(self.path)
        if isinstance(content, list):
            yield from self._rows((f"record {number}", row) for number, row in enumerate(stream_list(self.path)))
        elif not isinstance(content, dict):
            raise _BadRecord(f"expected a JSON object or list, got {type(content).__name__}")
        elif isinstance(content.get("images"), list) and isinstance(content.get("annotations"), list):
            yield from self._coco()
        elif isinstance(content.get("images"), list):
            yield from self._karpathy()
        else:
            self._refuse_split()
            for key, captions in content.items():
                yield from _captions(key, captions, f"image {key!r}")

    def _json_lines(self) -> Iterator[tuple[str, Any]]:
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield f"line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    raise _BadRecord(f"line {number} is not JSON: {error}") from None

    def _rows(self, rows: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
        for where, row in rows:
            if not self._wanted(row, where) or not _is_true(row, where):
                continue
            if "image_id" in row:
                image_id = _id_text(row["image_id"], where)
            else:
                image_id = Path(str(_field(row, "img_path", where, instead_of="image_id"))).stem
            for name in ("caption", "sentence", "captions", "sentences"):
                if name in row:
                    yield from _captions(image_id, row[name], where)
                    break
            else:
                raise _BadRecord(f"{where} has no caption, sentence, captions or sentences; it has {sorted(row)}")

    def _records(self, key: str) -> Iterator[tuple[str, Any]]:
        for number, record in enumerate(stream_list(self.path, key)):
            yield f"{key}[{number}]", record

    def _karpathy(self) -> Iterator[tuple[str, str]]:
        for where, image in self._records("images"):
            if not self._wanted(image, where):
                continue
            image_id = self._image_id(image, where, name_field="filename", number_field="cocoid")
            sentences = _field(image, "sentences", where)
            if not isinstance(sentences, list):
                raise _BadRecord(f"{where}: sentences must be a list, got {type(sentences).__name__}")
            raw = [_field(sentence, "raw", f"{where}.sentences[{i}]") for i, sentence in enumerate(sentences)]
            yield from _captions(image_id, raw, where)

    def _coco(self) -> Iterator[tuple[str, str]]:
        self._refuse_split()
        # Captions come in any order and say the number of their image alone: what names it is kept for all images,
        # and of no record anything else.
        ids = {
            _field(image, "id", where): self._image_id(image, where, name_field="file_name", number_field="id")
            for where, image in self._records("images")
        }
        for where, annotation in self._records("annotations"):
            key = _field(annotation, "image_id", where)
            if key not in ids:
                raise _BadRecord(f"{where} describes image {key!r}, which is not among the {len(ids)} images")
            yield from _captions(ids[key], _field(annotation, "caption", where), where)

    def _image_id(self, image: Mapping[str, Any], where: str, *, name_field: str, number_field: str) -> str:
        if self.id_from == "cocoid":
            return _id_text(_field(image, number_field, where), where)
        return Path(str(_field(image, name_field, where))).stem

    def _wanted(self, record: Any, where: str) -> bool:
        if self.splits is None:
            if not isinstance(record, dict):
                raise _BadRecord(f"{where} must be a JSON object, got {type(record).__name__}")
            return True
        if isinstance(record, dict) and "split" not in record:
            raise _BadRecord(f"{where} has no split; it has {sorted(record)}. {_ALL_CAPTIONS}")
        split = _field(record, "split", where)
        self.splits_seen.add(str(split))
        return split in self.splits

    def _refuse_split(self) -> None:
        if self.splits is not None:
            asked_for = "+".join(sorted(self.splits))
            raise _BadRecord(f"split {asked_for!r} was asked for, but this layout names no splits. {_ALL_CAPTIONS}")


def _field(record: Any, name: str, where: str, *, instead_of: str | None = None) -> Any:
    if not isinstance(record, dict):
        raise _BadRecord(f"{where} must be a JSON object, got {type(record).__name__}")
    if name not in record:
        wanted = f"{instead_of} (or {name})" if instead_of else name
        raise _BadRecord(f"{where} has no {wanted}; it has {sorted(record)}")
    return record[name]


def _is_true(row: Mapping[str, Any], where: str) -> bool:
    label = row.get("label", True)
    if str(label).lower() not in ("true", "false"):
        raise _BadRecord(
            f"{where}: label must be true or false, whether the text is true of the image, got {label!r}; "
            "leave the field out, or name it otherwise, where it says something else"
        )
    return str(label).lower() == "true"


def _id_text(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise _BadRecord(f"{where}: an image id must be a string or a whole number, got {value!r}")
    return str(value)


def _captions(image_id: str, captions: Any, where: str) -> Iterator[tuple[str, str]]:
    texts = [captions] if isinstance(captions, str) else captions
    if not isinstance(texts, list) or not texts:
        raise _BadRecord(f"{where} (image {image_id!r}): expected a caption or a list of captions, got {captions!r}")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise _BadRecord(f"{where} (image {image_id!r}): a caption must be a text that is not empty, got {text!r}")
        yield image_id, text.strip()
