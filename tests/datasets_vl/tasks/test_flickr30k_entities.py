from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from datasets_vl.tasks.flickr30k_entities import parse_sentence, read_boxes, read_flickr30k_entities
from datasets_vl.tasks.records import SCHEMAS, InvalidAnnotation

SAMPLES = Path(__file__).parent / "samples" / "flickr30k_entities"
IMAGE = "1000092795"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES, tmp_path / "entities"))


def test_records() -> None:
    left_out = Counter()
    records = list(read_flickr30k_entities(SAMPLES, split="train", left_out=left_out))
    assert [record["example_id"] for record in records] == [f"{IMAGE}#{number}" for number in (0, 1, 3, 4)]
    assert left_out == {"no phrase with a box": 1}
    first = records[0]
    assert set(first) == set(SCHEMAS["phrase_grounding"].names)
    assert first["sentence"] == "Two young guys with shaggy hair look at their hands while hanging out in the yard ."
    named = [first["sentence"][phrase["start"] : phrase["end"]] for phrase in first["phrases"]]
    assert named == ["Two young guys", "shaggy hair", "their hands", "the yard"]
    assert [(phrase["phrase_id"], phrase["types"]) for phrase in first["phrases"]] == [
        ("1", ["people"]),
        ("2", ["bodyparts"]),
        ("3", ["bodyparts"]),
        ("4", ["scene"]),
    ]
    # Two boxes for one phrase, a pixel column, no annotation, a scene; coordinates from 0.
    assert [phrase["boxes"] for phrase in first["phrases"]] == [
        [[183.0, 63.0, 332.0, 469.0], [0.0, 35.0, 219.0, 499.0]],
        [[194.0, 65.0, 194.0, 120.0]],
        [],
        [],
    ]
    assert [phrase["boxes"] for phrase in records[1]["phrases"]][1] == []  # nobndbox
    assert records[2]["phrases"][0]["types"] == ["clothing", "people"]
    assert records[3]["phrases"][0]["boxes"] == [[183.0, 63.0, 332.0, 469.0]]  # a box of two entities
    assert records[3]["phrases"][1] == {"start": 18, "end": 22, "phrase_id": "0", "types": ["notvisual"], "boxes": []}


def test_splits_are_lists_of_ids(tmp_path: Path) -> None:
    (val,) = read_flickr30k_entities(SAMPLES, split="val")
    assert (val["image_id"], val["phrases"][2]["boxes"]) == ("10002456", [[186.0, 20.0, 499.0, 225.0]])
    listing = tmp_path / "mine.txt"
    listing.write_text(f"10002456\n\n{IMAGE}\n")
    records = list(read_flickr30k_entities(SAMPLES, split="train", split_list=listing))
    assert [record["image_id"] for record in records] == ["10002456", *[IMAGE] * 4]


def test_an_unknown_split_and_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(InvalidAnnotation, match=r"test\.txt: there is no such list"):
        next(read_flickr30k_entities(folder, split="test"))
    (folder / "Annotations" / f"{IMAGE}.xml").unlink()
    with pytest.raises(InvalidAnnotation, match=rf"train\.txt, line 1: image {IMAGE} has no file .*{IMAGE}\.xml"):
        next(read_flickr30k_entities(folder, split="train"))


@pytest.mark.parametrize(
    "sentence",
    [
        "[/EN#1/people A man smiles .",
        "[/EN#x/people A man] smiles .",
        "[/EN#1 A man] smiles .",
        "A man] smiles [/EN#1/people",
    ],
)
def test_broken_marks_are_named(folder: Path, sentence: str) -> None:
    (folder / "Sentences" / f"{IMAGE}.txt").write_text(f"Fine .\n{sentence}\n")
    with pytest.raises(InvalidAnnotation, match=rf"{IMAGE}\.txt, sentence 2: expected marks like") as error:
        list(read_flickr30k_entities(folder, split="train"))
    assert sentence in str(error.value)


def test_marks_go_and_other_brackets_stay() -> None:
    marked = "[sic] [/EN#1/people A man ] [/EN#2/other ] / or\u00a0so ."
    sentence, phrases = parse_sentence(marked, "f", "s")
    assert sentence == "[sic] A man  / or\u00a0so ."
    assert phrases == [{"start": 6, "end": 11, "phrase_id": "1", "types": ["people"]}]


def test_files_without_sentences_and_not_utf8_are_refused(folder: Path) -> None:
    sentences = folder / "Sentences" / f"{IMAGE}.txt"
    sentences.write_text("\n \n")
    with pytest.raises(InvalidAnnotation, match="the file has no sentences"):
        list(read_flickr30k_entities(folder, split="train"))
    sentences.write_bytes(b"caf\xe9\n")
    with pytest.raises(InvalidAnnotation, match="not UTF-8 text"):
        list(read_flickr30k_entities(folder, split="train"))


BOX = "<bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", r"a\.xml: not XML: .*line 1"),
        ("", r"a\.xml: not XML: no element found"),
        (f"<a><object>{BOX.format(1)}</object></a>", r"object 1: expected at least one <name>"),
        (f"<a><object><name/>{BOX.format(1)}</object></a>", r"object 1: expected at least one <name>"),
        (f"<a><object/><object><name>1</name>{BOX.format(1)}</object></a>", r"object 1: expected at least one <name>"),
        (f"<a><object><name>1</name>{BOX.format('x')}</object></a>", r"object 1: .*whole pixels.*'xmin': 'x'"),
        (f"<a><object><name>1</name>{BOX.format(10)}</object></a>", r"object 1: .*'xmin': '10'.*'xmax': '9'"),
        ("<a><object><name>1</name><bndbox/></object></a>", r"object 1: .*'xmin': ''"),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(content)
    with pytest.raises(InvalidAnnotation, match=message):
        read_boxes(path)


def test_entities_are_refused(tmp_path: Path) -> None:
    """A "billion laughs" file, and one that asks for another file: neither is expanded."""
    secret = tmp_path / "secret.txt"
    secret.write_text("7")
    laughs = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 12))
    for declarations in (f'<!ENTITY l0 "ha">{laughs}', f'<!ENTITY l11 SYSTEM "{secret.as_uri()}">'):
        path = tmp_path / "a.xml"
        path.write_text(f"<!DOCTYPE a [{declarations}]><a><object><name>&l11;</name>{BOX.format(1)}</object></a>")
        with pytest.raises(InvalidAnnotation, match=r"a\.xml: the XML declares the entity 'l\d+', which is not read"):
            read_boxes(path)


def test_it_streams(folder: Path) -> None:
    (folder / "train.txt").write_text(f"{IMAGE}\nmissing\n")
    records = read_flickr30k_entities(folder, split="train")
    assert [next(records)["example_id"] for _ in range(4)][-1] == f"{IMAGE}#4"
    with pytest.raises(InvalidAnnotation, match="line 2: image missing"):
        next(records)
