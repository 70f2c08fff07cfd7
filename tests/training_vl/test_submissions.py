"""Files for the benchmarks' servers, letter by letter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training_vl.test_task_scores import BOXES, choices, expressions, phrases, questions, statements
from training_vl.submissions import read_answer_probabilities, write_vcr
from training_vl.tasks import TASKS, predictions_file


def written(folder: Path, task: str, table: object, predictions: object) -> str:
    path = predictions_file(folder, TASKS[task], "val")
    TASKS[task].write(path, table, predictions)
    return path.read_text()


def test_questions(tmp_path: Path) -> None:
    table = questions(["dog"], ["cat"])
    predictions = {1: {"answer": "cat", "score": 0.5}}
    assert json.loads(written(tmp_path, "vqa", table, predictions)) == [{"question_id": "q1", "answer": "cat"}]
    assert json.loads(written(tmp_path, "gqa", table, predictions)) == [{"questionId": "q1", "prediction": "cat"}]


def test_vqa_numbers_its_questions(tmp_path: Path) -> None:
    row = {"example_id": "262148000", "image_id": "i", "question": "what", "answers": []}
    table = type(questions(["dog"])).from_records("question_answering", [row], labels=["dog"])
    assert written(tmp_path, "vqa", table, {0: {"answer": "dog"}}) == '[{"question_id": 262148000, "answer": "dog"}]\n'


def test_nlvr2_has_no_header(tmp_path: Path) -> None:
    predictions = {0: {"label": "True", "score": 0.5}, 1: {"label": "False", "score": 0.7}}
    assert written(tmp_path, "nlvr2", statements(None, None), predictions) == "s0,True\ns1,False\n"


def test_vcr(tmp_path: Path) -> None:
    table = choices([None, None], [None, None])
    answers = {0: {"choice": 1, "scores": [0.25, 0.75]}, 1: {"choice": 0, "scores": [1.0, 0.0]}}
    assert written(tmp_path, "vcr_qa", table, answers) == "annot_id,answer_0,answer_1\nc0,0.25,0.75\nc1,1.0,0.0\n"
    assert written(tmp_path, "vcr_qar", table, answers).startswith("annot_id,rationale_0,rationale_1\nc0,0.25,0.75\n")
    written(tmp_path, "vcr_qa", table, answers)
    probabilities = read_answer_probabilities(tmp_path / "predictions_val.csv")
    assert probabilities == {"c0": [0.25, 0.75], "c1": [1.0, 0.0]}
    rationales = [{n: {"scores": [answer / 2, n / 4]} for n in range(2)} for answer in range(2)]
    write_vcr(tmp_path / "vcr.csv", table, probabilities, rationales)
    assert (tmp_path / "vcr.csv").read_text().splitlines() == [
        "annot_id,answer_0,answer_1,rationale_conditioned_on_a0_0,rationale_conditioned_on_a0_1,"
        "rationale_conditioned_on_a1_0,rationale_conditioned_on_a1_1",
        "c0,0.25,0.75,0.0,0.0,0.5,0.0",
        "c1,1.0,0.0,0.0,0.25,0.5,0.25",
    ]
    with pytest.raises(ValueError, match="question 'c1' has rationales, but no probabilities of its answers"):
        write_vcr(tmp_path / "vcr.csv", table, {"c0": [0.5, 0.5]}, rationales)
    with pytest.raises(ValueError, match="must have the columns annot_id, answer_0, ..., got annot_id, answer_0, ans"):
        read_answer_probabilities(tmp_path / "vcr.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match="empty.csv must have the columns annot_id"):
        read_answer_probabilities(tmp_path / "empty.csv")


def test_classes_and_boxes(tmp_path: Path) -> None:
    text = written(tmp_path, "snli_ve", statements(None), {0: {"label": "True", "score": 0.5}})
    assert json.loads(text) == {"example_id": "s0", "label": "True", "score": 0.5}
    scores = {0: {"boxes": BOXES, "scores": np.array([0.5, 2, 1])}}
    assert json.loads(written(tmp_path, "refcoco", expressions(), scores)) == {
        "example_id": "r0",
        "box": [20, 20, 40, 40],
        "score": 2.0,
    }
    scores = {0: {"boxes": BOXES, "scores": np.array([[3, 2, 1], [1, 2, 3], [2, 2, 3], [0, 0, 0]])}}
    content = json.loads(written(tmp_path, "flickr30k_entities", phrases(), scores))
    assert [phrase["phrase_id"] for phrase in content["phrases"]] == ["0", "2", "4"]
    assert [found["score"] for found in content["phrases"][2]["ranked"]] == [3, 2, 2]
    assert content["phrases"][2]["ranked"][0]["box"] == BOXES[2].tolist()
