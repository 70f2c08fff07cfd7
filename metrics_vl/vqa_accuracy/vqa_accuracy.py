"""VQA accuracy: answers to visual questions, each weighed against the answers of ten humans (VQA v2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.example_ids import by_example_id
from metrics_vl.shares import flat
from metrics_vl.vqa import score_vqa
from metrics_vl.vqa_scores import Variant

INPUTS = """
Args:
    example_ids: Question ids; each may come once.
    predictions: One answer a question.
    references: For each question the humans' `answers`, its `answer_type` and its `question_type` ("" if not known).
    variant: "official" (leave one out), "closed_form" or "simple".

Returns:
    `accuracy`, `accuracy_low` and `accuracy_high` (95 % interval), `accuracy_count`; the same four of each type as
    `per_answer_type.<type>` and `per_question_type.<type>`; `variant`.
"""


class VqaAccuracy(evaluate.Metric):
    """`metrics_vl.vqa.score_vqa` for `evaluate`."""

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
                    "references": {"answers": datasets.List(text), "answer_type": text, "question_type": text},
                }
            ),
            reference_urls=["https://visualqa.org/evaluation.html"],
        )

    def _compute(
        self,
        *,
        example_ids: Sequence[str],
        predictions: Sequence[str],
        references: Sequence[dict[str, Any]],
        variant: Variant = "official",
    ) -> dict[str, Any]:
        known = [
            reference | {name: reference[name] or None for name in ("answer_type", "question_type")}
            for reference in references
        ]
        scores = score_vqa(by_example_id(example_ids, predictions), by_example_id(example_ids, known), variant)
        return flat(scores)
