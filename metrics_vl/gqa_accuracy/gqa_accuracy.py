"""GQA accuracy: share of visual questions answered to the letter, of open and of binary ones and of each type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.example_ids import by_example_id
from metrics_vl.gqa import score_gqa
from metrics_vl.shares import flat

INPUTS = """
Args:
    example_ids: Question ids; each may come once.
    predictions: One answer a question.
    references: For each question the right `answer`, its `question_type` (the structural type: "query", "verify",
        "logical", "choose" or "compare") and its `answer_type` (the semantic one: "obj", "attr", "cat", "rel" or
        "global"); "" if a type is not known.

Returns:
    `accuracy`, `accuracy_low` and `accuracy_high` (95 % interval), `accuracy_count`; the same four of open and of
    binary questions as `per_form.<form>`, and of each type as `per_question_type.<type>` and `per_answer_type.<type>`.
"""


class GqaAccuracy(evaluate.Metric):
    """`metrics_vl.gqa.score_gqa` for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "example_ids": text,
                    "predictions": text,
                    "references": {"answer": text, "question_type": text, "answer_type": text},
                }
            ),
            reference_urls=["https://cs.stanford.edu/people/dorarad/gqa/evaluate.html"],
        )

    def _compute(
        self, *, example_ids: Sequence[str], predictions: Sequence[str], references: Sequence[dict[str, str]]
    ) -> dict[str, Any]:
        known = [
            {
                "answers": [reference["answer"]],
                "question_type": reference["question_type"] or None,
                "answer_type": reference["answer_type"] or None,
            }
            for reference in references
        ]
        return flat(score_gqa(by_example_id(example_ids, predictions), by_example_id(example_ids, known)))
