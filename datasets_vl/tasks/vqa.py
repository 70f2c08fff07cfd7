"""VQA v2: open questions about COCO images, each answered by ten people."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from .benchmark import Benchmark, Option
from .json_stream import read_outline
from .official_files import Annotation, read_json_list
from .records import InvalidAnnotation, Record

MINIVAL_SIZE = 3000

ImageName = Literal["file_name", "cocoid"]
Minival = Literal["only", "without"]


class _Question(NamedTuple):
    """A question with its id and its image, as COCO numbers it and as the records name it."""

    key: int
    text: str
    coco_id: str
    image_id: str


def read_vqa(
    questions: Sequence[str | Path],
    annotations: Sequence[str | Path] = (),
    *,
    image_id: ImageName = "file_name",
    minival: Minival | None = None,
) -> Iterator[Record]:
    """Reads the questions of one or several files.

    Questions and annotations are read side by side, one by one. Both may come in any order, but only where it is the
    same, as in the official files, does memory stay that of single records; else questions wait for their annotations.

    Args:
        questions: `v2_OpenEnded_mscoco_*_questions.json`; several make one split, as ViLBERT trains on train and val.
        annotations: `v2_mscoco_*_annotations.json`, one for each file of questions; none for a test split.
        image_id: What names an image: the stem of its file name (`COCO_train2014_000000000009`), or "cocoid", the
            number (`9`). Take what the region features use.
        minival: ViLBERT's validation split, the last 3000 questions by id of the last file: "only" these, or all but
            these ("without").

    Yields:
        Records of `question_answering`, in the order of the annotations.

    Raises:
        InvalidAnnotation: If a file is not what it should be, or questions and annotations do not belong together.
        ValueError: If there are not as many annotation files as question files.
    """
    if annotations and len(annotations) != len(questions):
        raise ValueError(
            f"{len(questions)} files of questions and {len(annotations)} of annotations: give one for each, or none"
        )
    for name, value, choices in (("image_id", image_id, ImageName), ("minival", minival, Minival)):
        if value is not None and value not in get_args(choices):
            raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, got {value!r}")
    for number, file in enumerate(questions, start=1):
        is_last = number == len(questions)
        if minival == "only" and not is_last:
            continue
        asked = _Questions(file, image_id)
        last_ids = _last_ids(file) if minival is not None and is_last else frozenset()
        if annotations:
            found = _answered(asked, annotations[number - 1])
        else:
            found = ((question, _record(question)) for question in asked)
        for question, record in found:
            if (question.key in last_ids) == (minival == "only"):
                yield record


class _Questions:
    """The questions of a file, read one by one in its order and found by id.

    The official files of questions and annotations list the same ids in the same order, so that no question waits for
    its annotation; those that are passed over on the way to another one do. Beside them 8 bytes a question are kept.

    Args:
        file: Of questions.
        image_name: What names an image.
    """

    def __init__(self, file: str | Path, image_name: ImageName) -> None:
        self.file = file
        self.ids = array("q")
        content = Annotation(file, "", read_outline(file))
        content.items("questions")
        self._prefix = ""
        if image_name == "file_name":
            # The questions of test-dev are about images of test2015.
            self._prefix = f"COCO_{content.text('data_subtype').replace('test-dev', 'test')}_"
        self._waiting: dict[int, _Question] = {}
        self._unread = self._read()

    def __iter__(self) -> Iterator[_Question]:
        """The questions that were not read yet."""
        return self._unread

    def take(self, key: int) -> _Question | None:
        """The question `key`; None where there is none, or it was taken before."""
        question = self._waiting.pop(key, None)
        while question is None and (question := next(self._unread, None)) is not None and question.key != key:
            self._waiting[question.key] = question
            question = None
        return question

    def not_taken(self) -> list[int]:
        """The ids of the other questions."""
        return [*self._waiting, *(question.key for question in self._unread)]

    def _read(self) -> Iterator[_Question]:
        for question in read_json_list(self.file, "questions"):
            key = _question_id(question)
            self.ids.append(key)
            coco_id = question.identifier("image_id")
            image_id = f"{self._prefix}{coco_id.zfill(12)}" if self._prefix else coco_id
            yield _Question(key, question.text("question"), coco_id, image_id)
        self._refuse_repeated()

    def _refuse_repeated(self) -> None:
        ids = np.frombuffer(self.ids, dtype=np.int64) if self.ids else np.empty(0, dtype=np.int64)
        order = np.argsort(ids, kind="stable")
        repeated = order[1:][ids[order[1:]] == ids[order[:-1]]]
        if repeated.size:
            number = int(repeated.min())
            raise InvalidAnnotation(
                self.file, f"questions[{number}]", f"question_id {ids[number]} occurs a second time"
            )


def _last_ids(file: str | Path) -> set[int]:
    """The ids of ViLBERT's validation split."""
    return set(heapq.nlargest(MINIVAL_SIZE, map(_question_id, read_json_list(file, "questions"))))


def _answered(questions: _Questions, annotations: str | Path) -> Iterator[tuple[_Question, Record]]:
    """Every question with its record, in the order of the annotations."""
    for annotation in read_json_list(annotations, "annotations"):
        key = _question_id(annotation)
        question = questions.take(key)
        if question is None:
            raise annotation.error(
                f"question_id {key} occurs a second time"
                if key in questions.ids
                else f"question_id {key} is not among the questions of {questions.file}: do the files belong together?"
            )
        if annotation.identifier("image_id") != question.coco_id:
            raise annotation.error(
                f"question {key} is about image {annotation.identifier('image_id')} here, and about image "
                f"{question.coco_id} in {questions.file}"
            )
        yield (
            question,
            _record(question)
            | {
                "answers": _answers(annotation),
                "main_answer": annotation.optional_text("multiple_choice_answer"),
                "question_type": annotation.optional_text("question_type"),
                "answer_type": annotation.optional_text("answer_type"),
            },
        )
    if unanswered := questions.not_taken():
        raise InvalidAnnotation(
            annotations,
            "",
            f"{len(unanswered)} questions of {questions.file} have no annotation, such as {min(unanswered)}",
        )


def _answers(annotation: Annotation) -> list[str]:
    answers = annotation.items("answers")
    texts = [answer.get("answer") if isinstance(answer, dict) else None for answer in answers]
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise annotation.error(f"answers[{number}] must be an object with an answer, got {answers[number]!r:.80}")
    if not texts:
        raise annotation.error("answers is empty")
    return texts


def _record(question: _Question) -> Record:
    return {
        "example_id": str(question.key),
        "image_id": question.image_id,
        "question": question.text,
        "answers": [],
        "main_answer": None,
        "question_type": None,
        "answer_type": None,
    }


def _question_id(annotation: Annotation) -> int:
    key = annotation.get("question_id")
    if not isinstance(key, int) or isinstance(key, bool) or key.bit_length() > 63:
        raise annotation.error(f"question_id must be a whole number, got {key!r:.80}")
    return key


VQA = Benchmark(
    name="vqa",
    kind="question_answering",
    summary="VQA v2: open questions about COCO images",
    read=read_vqa,
    options={
        "questions": Option(help="v2_OpenEnded_mscoco_*_questions.json", required=True, many=True),
        "annotations": Option(help="v2_mscoco_*_annotations.json, one for each; none for a test split", many=True),
        "image_id": Option(
            help="what the region features name an image by (default: file_name)", choices=get_args(ImageName)
        ),
        "minival": Option(
            help="ViLBERT's validation split, the last 3000 questions of the last file: only these, or all without",
            choices=get_args(Minival),
        ),
    },
    min_answer_count=9,
)
