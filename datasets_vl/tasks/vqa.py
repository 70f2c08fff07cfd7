"""VQA v2: open questions about COCO images, each answered by ten people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from .benchmark import Benchmark, Option
from .official_files import Annotation, read_json, read_json_list
from .records import InvalidAnnotation, Record

MINIVAL_SIZE = 3000

ImageName = Literal["file_name", "cocoid"]
Minival = Literal["only", "without"]


class _Question(NamedTuple):
    """A question and its image, as COCO numbers it and as the records name it."""

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

    A file of questions (some 40 MB) is loaded as a whole; the annotations (up to 400 MB) are read one by one.

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
        asked = _read_questions(file, image_id)
        left_out: set[int] = set()
        if minival is not None and is_last:
            in_order = sorted(asked)
            left_out = set(in_order[:-MINIVAL_SIZE] if minival == "only" else in_order[-MINIVAL_SIZE:])
        if annotations:
            yield from _answered(asked, left_out, file, annotations[number - 1])
        else:
            for key, question in asked.items():
                if key not in left_out:
                    yield _record(key, question)


def _read_questions(file: str | Path, image_name: ImageName) -> dict[int, _Question]:
    content = Annotation(file, "", read_json(file))
    prefix = ""
    if image_name == "file_name":
        # The questions of test-dev are about images of test2015.
        prefix = f"COCO_{content.text('data_subtype').replace('test-dev', 'test')}_"
    asked: dict[int, _Question] = {}
    for number, values in enumerate(content.items("questions")):
        question = Annotation(file, f"questions[{number}]", values)
        key = _question_id(question)
        if key in asked:
            raise question.error(f"question_id {key} occurs a second time")
        coco_id = question.identifier("image_id")
        image_id = f"{prefix}{coco_id.zfill(12)}" if prefix else coco_id
        asked[key] = _Question(question.text("question"), coco_id, image_id)
    return asked


def _answered(
    asked: dict[int, _Question], left_out: set[int], questions: str | Path, annotations: str | Path
) -> Iterator[Record]:
    unanswered = set(asked)
    for annotation in read_json_list(annotations, "annotations"):
        key = _question_id(annotation)
        if key not in unanswered:
            raise annotation.error(
                f"question_id {key} occurs a second time"
                if key in asked
                else f"question_id {key} is not among the questions of {questions}: do the files belong together?"
            )
        unanswered.remove(key)
        question = asked[key]
        if annotation.identifier("image_id") != question.coco_id:
            raise annotation.error(
                f"question {key} is about image {annotation.identifier('image_id')} here, and about image "
                f"{question.coco_id} in {questions}"
            )
        if key not in left_out:
            yield _record(key, question) | {
                "answers": _answers(annotation),
                "main_answer": annotation.optional_text("multiple_choice_answer"),
                "question_type": annotation.optional_text("question_type"),
                "answer_type": annotation.optional_text("answer_type"),
            }
    if unanswered:
        raise InvalidAnnotation(
            annotations,
            "",
            f"{len(unanswered)} questions of {questions} have no annotation, such as {min(unanswered)}",
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


def _record(key: int, question: _Question) -> Record:
    return {
        "example_id": str(key),
        "image_id": question.image_id,
        "question": question.text,
        "answers": [],
        "main_answer": None,
        "question_type": None,
        "answer_type": None,
    }


def _question_id(annotation: Annotation) -> int:
    key = annotation.get("question_id")
    if not isinstance(key, int) or isinstance(key, bool):
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
