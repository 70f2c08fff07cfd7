from __future__ import annotations

from pathlib import Path

import pytest

from datasets_vl.captions import read_captions
from datasets_vl.tasks.conceptual_captions import image_key, read_conceptual_captions
from datasets_vl.tasks.records import InvalidAnnotation

SAMPLE = Path(__file__).parent / "samples" / "conceptual_captions" / "Train_GCC-training.tsv"


def test_keys_are_those_of_the_download_script() -> None:
    assert image_key("123456789") == "3421780262"  # the check value of CRC-32: 0xCBF43926


def test_lines_are_captions_and_urls() -> None:
    assert list(read_conceptual_captions(SAMPLE)) == [
        ("2901536091", "a very typical bus station"),
        ("362389946", "sierra looked stunning in this top and this skirt while performing with person"),
        ("3207551675", 'young confused girl standing in front of a wardrobe : a "café" scene'),
        ("3165405067", "a very typical bus station"),
    ]


def test_read_captions_knows_the_layout() -> None:
    table = read_captions(SAMPLE)
    assert len(table) == 4
    assert [table.text(index) for index in table.captions_of("362389946")][0].startswith("sierra looked stunning")


def test_a_split_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="Train_GCC-training.tsv.*split 'train' was asked for.*names no splits"):
        read_captions(SAMPLE, split="train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"no url here\n", r"captions\.tsv, line 2: expected a caption, a tab and a URL, got 1 fields"),
        (b"a\thttp://b.org/c\td\n", r"line 2: .* got 3 fields"),
        (b"a caption\tnot a url\n", r"line 2: expected a caption and a URL, got 'a caption' and 'not a url'"),
        (b"\thttp://b.org/c\n", r"line 2: expected a caption and a URL, got '' and"),
        (b"caf\xe9\thttp://b.org/c\n", r"line 2: not UTF-8 text: .*0xe9"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "captions.tsv"
    path.write_bytes(b"fine\thttp://a.org/b\n" + line)
    with pytest.raises(InvalidAnnotation, match=message):
        list(read_conceptual_captions(path))
    with pytest.raises(InvalidAnnotation, match=message) as error:
        read_captions(path)
    assert str(error.value).count("captions.tsv") == 1


def test_it_streams(tmp_path: Path) -> None:
    path = tmp_path / "captions.tsv"
    path.write_bytes(b"fine\thttp://a.org/b\n" + b"broken\n")
    rows = read_conceptual_captions(path)
    assert next(rows) == (image_key("http://a.org/b"), "fine")


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path = tmp_path / "captions.tsv"
    path.write_bytes("one\u2028caption\thttp://a.org/b\r\n\n".encode())
    assert list(read_conceptual_captions(path)) == [(image_key("http://a.org/b"), "one\u2028caption")]
