"""GQA: compositional questions about Visual Genome images, with one right answer each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .benchmark import Benchmark, Option
from .official_files import Annotation, read_json_entries
from .records import Record


def read_gqa(questions: Sequence[str | Path]) -> Iterator[Record]:
    """Reads questions one by one.

    Args:
        questions: `<split>_{balanced,all}_questions.json`, objects by question id; the ten parts of
            `train_all_questions` make one split.

    Yields:
        Records of `question_answering` with one answer, none where a test split has none. The question's type is the
        structural one, the answer's the semantic one, as in the official evaluation.

    Raises:
        InvalidAnnotation: If a file is not what it should be.
    """
    for file in questions:
        for key, question in read_json_entries(file):
            answer = question.optional_text("answer")
            types = question.values.get("types")
            kinds = Annotation(file, f"{question.place}, types", {} if types is None else types)
            yield {
                "example_id": key,
                "image_id": question.identifier("imageId"),
                "question": question.text("question"),
                "answers": [] if answer is None else [answer],
                "main_answer": answer,
                "question_type": kinds.optional_text("structural"),
                "answer_type": kinds.optional_text("semantic"),
            }


GQA = Benchmark(
    name="gqa",
    kind="question_answering",
    summary="GQA: compositional questions about Visual Genome images",
    read=read_gqa,
    options={"questions": Option(help="*_questions.json, one or several", required=True, many=True)},
    min_answer_count=1,
)
