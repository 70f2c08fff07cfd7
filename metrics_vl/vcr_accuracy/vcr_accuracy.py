"""VCR accuracy: the answer (Q→A), the rationale given the right answer (QA→R), and both on one question (Q→AR)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.example_ids import by_example_id
from metrics_vl.shares import flat
from metrics_vl.vcr import score_vcr

INPUTS = """
Args:
    example_ids: Annotation ids; each may come once.
    predictions: For each question the numbers of the chosen `answer` and of the chosen `rationale`.
    references: For each question the right numbers, `answer_label` and `rationale_label`.

Returns:
    `answer`, `rationale` and `answer_and_rationale`, each also with `_low` and `_high` (95 % interval) and `_count`.
"""


class VcrAccuracy(evaluate.Metric):
    """`metrics_vl.vcr.score_vcr` for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        number = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "example_ids": datasets.Value("string"),
                    "predictions": {"answer": number, "rationale": number},
                    "references": {"answer_label": number, "rationale_label": number},
                }
            ),
            reference_urls=["https://visualcommonsense.com/leaderboard/"],
        )

    def _compute(
        self,
        *,
        example_ids: Sequence[str],
        predictions: Sequence[dict[str, int]],
        references: Sequence[dict[str, int]],
    ) -> dict[str, Any]:
        return flat(score_vcr(by_example_id(example_ids, predictions), by_example_id(example_ids, references)))
