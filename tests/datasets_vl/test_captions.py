from __future__ import annotations

import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datasets_vl.captions import CaptionTable, read_captions
from datasets_vl.image_ids import ImageIds
from datasets_vl.image_table import match_images
from datasets_vl.tasks import json_stream

KARPATHY = {
    "dataset": "coco",
    "images": [
        {
            "filename": "COCO_val2014_000000000042.jpg",
            "filepath": "val2014",
            "cocoid": 42,
            "split": "train",
            "sentences": [{"raw": "A dog."}, {"raw": " A brown dog \n"}],
        },
        {"filename": "COCO_val2014_000000000073.jpg", "cocoid": 73, "split": "val", "sentences": [{"raw": "Bikes"}]},
        {"filename": "COCO_val2014_000000000074.jpg", "cocoid": 74, "split": "restval", "sentences": [{"raw": "Cat"}]},
    ],
}
COCO = {
    "info": {},
    "images": [{"id": 9, "file_name": "COCO_train2014_000000000009.jpg"}, {"id": 25, "file_name": "b.jpg"}],
    "annotations": [
        {"id": 1, "image_id": 25, "caption": "A giraffe."},
        {"id": 2, "image_id": 9, "caption": "Lunch."},
        {"id": 3, "image_id": 25, "caption": "Two giraffes."},
    ],
}

LINKS = {"url": "http://images.example.org/photo.jpg", "licence": {"name": "CC BY"}, "size": [640, 480]}


def save(folder: Path, content: Any, name: str = "captions.json") -> Path:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path


def as_dict(table: CaptionTable) -> dict[str, list[str]]:
    ids = [table.image_ids[i] for i in range(len(table.image_ids))]
    return {image_id: [table.text(index) for index in table.captions_of(image_id)] for image_id in ids}


def test_karpathy_file_gives_one_split_by_file_name(tmp_path: Path) -> None:
    table = read_captions(save(tmp_path, KARPATHY), split="train")
    assert as_dict(table) == {"COCO_val2014_000000000042": ["A dog.", "A brown dog"]}


def test_karpathy_splits_are_added(tmp_path: Path) -> None:
    table = read_captions(save(tmp_path, KARPATHY), split="train+restval", image_id="cocoid")
    assert as_dict(table) == {"42": ["A dog.", "A brown dog"], "74": ["Cat"]}


def test_coco_file_groups_the_captions_of_an_image(tmp_path: Path) -> None:
    path = save(tmp_path, COCO)
    assert as_dict(read_captions(path)) == {
        "b": ["A giraffe.", "Two giraffes."],
        "COCO_train2014_000000000009": ["Lunch."],
    }
    assert as_dict(read_captions(path, image_id="cocoid")) == {"25": ["A giraffe.", "Two giraffes."], "9": ["Lunch."]}


def test_the_parts_of_a_coco_file_may_come_in_any_order(tmp_path: Path) -> None:
    turned = dict(reversed(COCO.items()))
    assert read_captions(save(tmp_path, turned)).fingerprint == read_captions(save(tmp_path, COCO)).fingerprint


def peak_memory(path: Path, captions: int, **arguments: Any) -> int:
    """Of reading a file with so many captions, for the second time: the first one also imports what Arrow needs."""
    assert len(read_captions(path, **arguments)) == captions
    tracemalloc.start()
    read_captions(path, **arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_that_of_the_captions_taken_not_of_the_file(tmp_path: Path, monkeypatch) -> None:
    """Beside them, 8 bytes a record; a parsed record of these takes hundreds."""
    monkeypatch.setattr(json_stream, "_PIECE", 4096)
    few, many = 1000, 6000

    def karpathy(number: int) -> dict[str, Any]:
        sentence = {"raw": "two cats", "tokens": ["two", "cats"], "sentid": number}
        return {"filename": f"{number}.jpg", "split": "train" if number % 200 else "val", "sentences": [sentence] * 5}

    layouts = {
        "karpathy": ("images", karpathy, lambda count: count // 40, 20, {"split": "val"}),
        "rows": ("", lambda number: {"image_id": number % 10, "caption": "two cats", **LINKS}, int, 150, {}),
        "coco": ("annotations", lambda number: {"image_id": number % 10, "caption": "cats", **LINKS}, int, 150, {}),
    }
    for name, (key, record, captions, most, arguments) in layouts.items():
        peaks = []
        for count in (few, many):
            records = [record(number) for number in range(count)]
            content = {"images": [{"id": number, "file_name": str(number)} for number in range(10)], key: records}
            peaks.append(peak_memory(save(tmp_path, content if key else records), captions(count), **arguments))
        assert peaks[1] - peaks[0] < most * (many - few), name


def test_mapping_of_conceptual_captions(tmp_path: Path) -> None:
    path = save(tmp_path, {"0038": "the sea at dusk", "0012": ["one", "ein zweites für 猫"]})
    assert as_dict(read_captions(path)) == {"0038": ["the sea at dusk"], "0012": ["one", "ein zweites für 猫"]}


@pytest.mark.parametrize("as_lines", [True, False])
def test_rows_may_hold_one_caption_or_many(tmp_path: Path, as_lines: bool) -> None:
    rows = [
        {"image_id": 7, "caption": "first"},
        {"image_id": "x", "captions": ["a", "b"]},
        {"img_path": "flickr/1000092795.jpg", "id": 0, "sentences": ["c"]},
        {"image_id": 7, "caption": "second"},
    ]
    content = "\n".join(map(json.dumps, rows)) + "\n\n" if as_lines else rows
    path = save(tmp_path, content, "rows.jsonl" if as_lines else "rows.json")
    assert as_dict(read_captions(path)) == {"7": ["first", "second"], "x": ["a", "b"], "1000092795": ["c"]}


@pytest.mark.parametrize(("yes", "no"), [(True, False), ("true", "false"), ("True", "False")])
def test_statements_that_are_false_of_their_image_are_no_captions(tmp_path: Path, yes: Any, no: Any) -> None:
    rows = [
        {"identifier": "1-0", "image_id": "train-1-0-4", "sentence": "There is one tower", "label": yes},
        {"identifier": "2-0", "image_id": "train-2-0-4", "sentence": "There are two", "label": no},
        {"image_id": "train-1-0-4", "caption": "A black block"},
    ]
    path = save(tmp_path, rows)
    assert as_dict(read_captions(path)) == {"train-1-0-4": ["There is one tower", "A black block"]}


def test_numbers_texts_and_images_belong_together(tmp_path: Path) -> None:
    table = read_captions(save(tmp_path, COCO))
    assert len(table) == 3
    for image_id in ("b", "COCO_train2014_000000000009"):
        assert all(table.image_of(index) == image_id for index in table.captions_of(image_id))
    assert [table.text(index) for index in range(3)] == ["A giraffe.", "Two giraffes.", "Lunch."]
    assert list(table.captions_of("unknown")) == []
    for outside in (-1, 3):
        with pytest.raises(IndexError, match=f"caption {outside} of a table of 3"):
            table.image_of(outside)


def test_fingerprint_tells_tables_apart_and_survives_pickling() -> None:
    pairs = [("a", "x"), ("a", "y"), ("b", "z")]
    table = CaptionTable.from_pairs(pairs)
    assert pickle.loads(pickle.dumps(table)).fingerprint == table.fingerprint
    assert CaptionTable.from_pairs(pairs).fingerprint == table.fingerprint
    others = [[("a", "x"), ("a", "y"), ("b", "Z")], [("a", "x"), ("b", "y"), ("b", "z")], [("a", "x"), ("a", "yz")]]
    assert len({table.fingerprint, *(CaptionTable.from_pairs(other).fingerprint for other in others)}) == 4


def test_a_million_captions_take_little_more_than_their_text() -> None:
    text = "a caption of about fifty letters, as they mostly are"
    table = CaptionTable.from_pairs((str(number // 5), text) for number in range(1_000_000))
    ids = table.image_ids.array.nbytes + 8 * len(table.image_ids)
    assert ids + table.texts.nbytes + table.offsets.nbytes < 1_000_000 * (len(text) + 16)
    assert list(table.captions_of("199999")) == [999_995, 999_996, 999_997, 999_998, 999_999]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("{", "c.json", r"c\.json, character 1: not JSON: expected a key in quotes; the file ends here"),
        ('{"image_id": 1, "caption": "x"}\n{"image', "c.jsonl", r"c\.jsonl: line 2 is not JSON"),
        (
            '{"image_id": 1, "text": "x"}',
            "c.jsonl",
            r"line 1 has no caption, sentence, captions or sentences; it has \['im",
        ),
        ('{"caption": "x"}', "c.jsonl", r"line 1 has no image_id \(or img_path\); it has \['caption'\]"),
        ("[1]", "c.json", r"record 0 must be a JSON object, got int"),
        ('"text"', "c.json", r"expected a JSON object or list, got str"),
        ({"1": ["a", " "]}, "c.json", r"image '1' \(image '1'\): a caption must be a text that is not empty, got ' '"),
        ({"1": []}, "c.json", r"expected a caption or a list of captions, got \[\]"),
        ({"1": {"caption": "a"}}, "c.json", r"expected a caption or a list of captions, got \{"),
        ({"1": ["a", {"raw": "b"}]}, "c.json", r"image '1' .*: a caption must be a text that is not empty, got \{"),
        ('{"1": "a"} {"2": "b"}', "c.json", r"c\.json, character 11: not JSON: expected the end of the file"),
        ('[{"image_id": 1, "caption": "a"}]]', "c.json", r"character 33: not JSON: expected the end of the file"),
        ({}, "c.json", r"c\.json: there is no caption"),
        ([{"image_id": None, "caption": "a"}], "c.json", r"record 0: an image id must be .*, got None"),
        (
            [{"image_id": 1, "caption": "a", "label": "entailment"}],
            "c.json",
            r"record 0: label must be true or false, whether the text is true of the image, got 'entailment'",
        ),
        ({"images": [{"filename": "a.jpg"}]}, "c.json", r"images\[0\] has no sentences; it has \['filename'\]"),
        ({"images": [{"filename": "a.jpg", "sentences": [{}]}]}, "c.json", r"images\[0\]\.sentences\[0\] has no raw"),
        (
            {"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "caption": "x"}]},
            "c.json",
            r"annotations\[0\] describes image 2, which is not among the 1 images",
        ),
    ],
)
def test_errors_name_file_and_record(tmp_path: Path, content: Any, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_captions(save(tmp_path, content, name))
    assert name in str(error.value)


def test_unknown_split_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"split 'test'.*no caption; the file has the splits \['restval', 'train', 'v"
    ):
        read_captions(save(tmp_path, KARPATHY), split="test")


@pytest.mark.parametrize("content", [COCO, {"1": "a"}])
def test_split_of_a_file_without_splits_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(ValueError, match="split 'val' was asked for, but this layout names no splits"):
        read_captions(save(tmp_path, content), split="val")


def test_rows_without_split_are_refused_where_a_split_is_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path, [{"image_id": "a", "split": "val", "caption": "x"}, {"image_id": "b", "caption": "y"}])
    with pytest.raises(ValueError, match=r"record 1 has no split"):
        read_captions(path, split="val")


def test_way_to_name_images_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="image_id must be 'file_name' or 'cocoid', got 'id'"):
        read_captions(save(tmp_path, COCO), image_id="id")


def test_nlvr_statements(real_data: Path) -> None:
    path = real_data / "nlvr1" / "train.jsonl"
    table = read_captions(path)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    true = [row for row in rows if row["label"] == "true"]
    assert 0 < len(table) == len(true) < len(rows)
    assert all(row["sentence"].strip() in as_dict(table)[row["image_id"]] for row in true[:20])


def test_flickr8k(real_data: Path) -> None:
    path = real_data / "flickr8k_800" / "dataset_flickr8k.json"
    sizes = {split: read_captions(path, split=split) for split in ("train", "val", "train+val")}
    assert {split: (len(table.image_ids), len(table)) for split, table in sizes.items()} == {
        "train": (700, 3500),
        "val": (100, 500),
        "train+val": (800, 4000),
    }
    first = sizes["val"].captions_of("1000268201_693b08cb0e")
    assert sizes["val"].text(first[1]) == "A girl going into a wooden building ."


def test_images_named_otherwise_are_told_with_the_option_that_names_them() -> None:
    table = CaptionTable.from_pairs([("COCO_val2014_000000000009", "a dog")])
    with pytest.raises(ValueError, match=r"'COCO_val2014_000000000009'; --caption_image_id .* by number"):
        match_images("features", ImageIds(pa.array(["9"])), table)
