"""docs/formats.md says what the readers and writers do."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from datasets_vl.captions import JSON_LINES_SUFFIXES
from datasets_vl.convert import Conversion, convert
from datasets_vl.parquet import REGION_SCHEMA, RegionFeaturesMetadata
from datasets_vl.readers import READERS
from datasets_vl.readers.fields import NAMES_OF
from datasets_vl.readers.tsv import BOTTOM_UP_FIELDS, LXMERT_FIELDS, VILBERT_FIELDS, VOLTA_FIELDS
from datasets_vl.shard_reading import iter_shard
from tests import documents
from tests.datasets_vl.readers.raw_formats import raw_image, write_tsv
from tests.documents import quoted
from tests.documents import table_rows as rows

PAGE = documents.DOCS / "formats.md"


def section(title: str) -> str:
    """The text below a heading of the second level, code blocks left out."""
    return re.sub(r"```.*?```", "", documents.section(PAGE, title), flags=re.DOTALL)


def test_every_format_is_described() -> None:
    assert re.findall(r"^### `(\w+)`", section("Raw region features"), re.MULTILINE) == list(READERS)


def test_the_names_of_fields_are_those_that_are_read() -> None:
    fields = section("Raw region features").partition("\n### ")[0]
    assert [name for row in rows(fields) for name in quoted(row[1])] == [
        name for names in NAMES_OF.values() for name in names
    ]


def test_tsv_layouts_have_their_fields_in_order() -> None:
    layouts = rows(section("Raw region features").partition("### `tsv`")[2].partition("###")[0])
    fields: dict[int, tuple[str, ...]] = {}
    for count, order, _ in layouts:
        before = list(fields.values())[-1] if "these and" in order else ()
        fields[int(count)] = (*before, *quoted(order))
    assert list(fields.values()) == [BOTTOM_UP_FIELDS, VILBERT_FIELDS, LXMERT_FIELDS, VOLTA_FIELDS]
    assert list(fields) == [len(names) for names in fields.values()]


def test_columns_and_metadata_are_those_of_the_shards() -> None:
    shards = section("Parquet shards")
    types = {name: row[1].split()[0] for row in rows(shards) for name in quoted(row[0])}
    assert types == {field.name: str(field.type) for field in REGION_SCHEMA}
    may_be_null = {name for row in rows(shards) for name in quoted(row[0]) if "null" in row[1]}
    assert may_be_null == {field.name for field in REGION_SCHEMA if field.nullable}
    assert {field.name for field in dataclasses.fields(RegionFeaturesMetadata)} <= set(quoted(shards))


def test_endings_of_caption_files_are_all_named() -> None:
    assert set(JSON_LINES_SUFFIXES) <= set(quoted(section("Captions")))


def test_the_code_reads_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_tsv(tmp_path / "a.tsv", [raw_image(0)])
    convert(Conversion(source=str(source), format="tsv"), tmp_path / "features" / "coco", show_progress=False)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    (block,) = documents.code_blocks(PAGE, "python")
    exec(block.text, names)
    (regions,) = iter_shard("features/coco/shard-00000.parquet")
    assert (names["boxes"] == regions.boxes).all()
