from __future__ import annotations

import json
import os
import pickle
from collections import Counter
from pathlib import Path

import pytest

from datasets_vl.tasks.answer_vocabulary import build_vocabulary, main_answer, read_vocabulary
from datasets_vl.tasks.records import InvalidAnnotation
from datasets_vl.tasks.vqa import read_vqa
from tests.datasets_vl.tasks.test_vqa import ANNOTATIONS, QUESTIONS

ANSWERS = ["yes", "no", "2", "t shirt"]


def test_frequent_main_answers_are_built_in() -> None:
    counts = Counter({"no": 9, "yes": 12, "2": 9, "rare": 8, "": 30})
    assert build_vocabulary(counts, min_count=9) == ["yes", "2", "no"]
    with pytest.raises(
        ValueError, match="no answer occurs 31 times among 68 questions, the most frequent one 30 times"
    ):
        build_vocabulary(counts, min_count=31)


def test_the_main_answer_stands_for_all() -> None:
    assert [main_answer(record) for record in read_vqa([QUESTIONS], [ANNOTATIONS])] == ["yes", "4", "broccoli", "blue"]
    assert main_answer({"answers": ["The Dog.", "a dog", "cat"], "main_answer": None}) == "dog"
    assert main_answer({"answers": ["a", "b", "B"], "main_answer": "Two cats"}) == "2 cats"
    assert main_answer({"answers": ["T-shirt"], "main_answer": "T-shirt"}) == "T-shirt"
    assert main_answer({"answers": [], "main_answer": None}) is None


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "content", [ANSWERS, {answer: number for number, answer in reversed(list(enumerate(ANSWERS)))}]
)
def test_official_pickles_are_read(tmp_path: Path, content, protocol: int) -> None:
    path = tmp_path / "trainval_label2ans.pkl"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    assert read_vocabulary(path) == ANSWERS


def test_json_and_text_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({answer: number for number, answer in enumerate(ANSWERS)}))
    (tmp_path / "b.json").write_text(json.dumps(ANSWERS))
    (tmp_path / "c.txt").write_text("\n".join(ANSWERS) + "\n\n")
    assert [read_vocabulary(tmp_path / name) for name in ("a.json", "b.json", "c.txt")] == [ANSWERS] * 3


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pkl", pickle.dumps(Harmful()), r"a\.pkl: the pickle asks for posix\.system; only"),
        ("a.pkl", pickle.dumps(ANSWERS)[:-4], r"a\.pkl: the pickle is broken"),
        ("a.json", b'["yes", "no", "yes"]', r"a\.json, answer 2: 'yes' is already answer 0"),
        ("a.json", b'["yes", 3]', r"a\.json, answer 1: expected a text, got 3"),
        ("a.json", b'{"yes": 0, "no": 2}', r"a\.json: the 2 answers must have the numbers 0 to 1, 1 is missing"),
        ("a.json", b'"yes"', r"a\.json: expected a list of answers or their numbers, got 'yes'"),
        ("a.txt", b"\n", r"a\.txt: expected a list of answers or their numbers, got \[\]"),
    ],
)
def test_what_is_no_vocabulary_is_refused(
    tmp_path: Path, monkeypatch, name: str, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidAnnotation, match=message):
        read_vocabulary(tmp_path / name)
    assert not (tmp_path / "harmed").exists()
