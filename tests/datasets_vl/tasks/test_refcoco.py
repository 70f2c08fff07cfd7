from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.tasks.records import SCHEMAS, InvalidAnnotation
from datasets_vl.tasks.refcoco import read_refcoco
from datasets_vl.tasks.registry import BENCHMARKS

SAMPLES = Path(__file__).parent / "samples" / "refcoco"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES, tmp_path / "refcoco"))


def read(folder: Path, split: str = "train", **options: Any) -> list[dict[str, Any]]:
    return list(read_refcoco(folder / "refs(unc).p", folder / "instances.json", split=split, **options))


def change_refs(folder: Path, **fields: Any) -> None:
    """Writes one reference with some fields changed; None takes a field out."""
    reference = {
        "ref_id": 0,
        "ann_id": 2000,
        "image_id": 9,
        "split": "train",
        "sentences": [{"sent_id": 0, "raw": "left guy", "sent": "left guy", "tokens": ["left", "guy"]}],
    }
    reference = {name: value for name, value in {**reference, **fields}.items() if value is not None}
    (folder / "refs(unc).p").write_bytes(pickle.dumps([reference]))


def test_records() -> None:
    records = read(SAMPLES)
    assert [set(record) for record in records] == [set(SCHEMAS["referring_expressions"].names)] * 3
    assert records[0] == {
        "example_id": "0",
        "image_id": "COCO_train2014_000000581857",
        "sentence": "THE LADY WITH THE BLUE SHIRT",
        "box": [10.0, 20.0, 110.5, 70.25],
    }
    assert [record["sentence"] for record in records[1:]] == ["lady w back to us", "blue shirt"]


def test_images_may_be_named_by_number() -> None:
    assert {record["image_id"] for record in read(SAMPLES, image_id="cocoid")} == {"581857"}


def test_way_to_name_images_is_checked() -> None:
    with pytest.raises(ValueError, match="image_id must be one of file_name, cocoid, got 'id'"):
        read(SAMPLES, image_id="id")


def test_byte_strings_of_python_2_are_utf8_and_its_unicode_stays() -> None:
    assert [record["sentence"] for record in read(SAMPLES, "val")] == ["cup in front of the café"]
    assert [record["sentence"] for record in read(SAMPLES, "testA")] == ["left guy", "naïve look"]


def test_all_three_benchmarks_read_with_it() -> None:
    for name in ("refcoco", "refcoco+", "refcocog"):
        benchmark = BENCHMARKS[name]
        records = benchmark.read(
            refs=SAMPLES / "refs(unc).p", instances=SAMPLES / "instances.json", split="val", image_id="file_name"
        )
        assert benchmark.reads_split and [record["example_id"] for record in records] == ["3"]


def test_an_unknown_split_names_those_there_are() -> None:
    with pytest.raises(InvalidAnnotation, match=r"refs\(unc\)\.p: has no split 'testB', it has testA, train, val"):
        read(SAMPLES, "testB")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ann_id": 5}, r"refs\(unc\)\.p, reference 0: ann_id 5 is not in .*instances\.json"),
        ({"image_id": 5}, r"reference 0: image_id 5 is not in .*instances\.json"),
        ({"ann_id": None}, r"reference 0: has no ann_id; it has image_id, ref_id"),
        ({"split": 3}, r"reference 0: split must be a text"),
        ({"sentences": "left guy"}, r"reference 0: sentences must be a list, got 'left guy'"),
        ({"sentences": [{"sent_id": 1, "raw": " "}]}, r"reference 0\.sentences\[0\]: raw must be a text that is not"),
        ({"sentences": [{"raw": "left guy"}]}, r"reference 0\.sentences\[0\]: has no sent_id"),
        ({"sentences": ["left guy"]}, r"reference 0\.sentences\[0\]: expected a JSON object, got 'left guy'"),
        ({"ann_id": 2001}, r"instances\.json, annotations\[3\]: bbox must be x, y, width and height, with an area"),
    ],
)
def test_errors_name_file_and_record(folder: Path, fields: dict[str, Any], message: str) -> None:
    change_refs(folder, **fields)
    with pytest.raises(InvalidAnnotation, match=message):
        read(folder)


def test_a_malicious_pickle_is_refused_and_not_executed(folder: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(folder / "executed"),)

    (folder / "refs(unc).p").write_bytes(pickle.dumps([Malicious()]))
    with pytest.raises(InvalidAnnotation, match=r"refs\(unc\)\.p: the pickle asks for .*mkdir"):
        read(folder)
    assert not (folder / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"(l(dS'sent", b"not a pickle", pickle.dumps({"refs": []})])
def test_other_pickles_are_refused(folder: Path, content: bytes) -> None:
    (folder / "refs(unc).p").write_bytes(content)
    with pytest.raises(InvalidAnnotation, match=r"refs\(unc\)\.p: (the pickle is broken|expected a pickled list)|p: "):
        read(folder)


def test_other_instances_are_refused(folder: Path) -> None:
    (folder / "instances.json").write_text('{"images": [{"id": 9}]}')
    with pytest.raises(InvalidAnnotation, match=r"instances\.json, images\[0\]: has no file_name; it has id"):
        read(folder)
    (folder / "instances.json").write_text('{"annotations": []}')
    with pytest.raises(InvalidAnnotation, match=r"instances\.json: the JSON object has no list 'images'"):
        read(folder)
