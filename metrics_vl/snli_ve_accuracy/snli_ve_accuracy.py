"""SNLI-VE accuracy: whether an image entails a sentence, contradicts it, or neither; of all and of each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.example_ids import by_example_id
from metrics_vl.labels import SNLI_VE_LABELS, score_labels
from metrics_vl.shares import flat

INPUTS = """
Args:
    example_ids: Ids of the pairs of image and sentence; each may come once.
    predictions: "contradiction", "entailment" or "neutral".
    references: The gold labels, likewise.

Returns:
    `accuracy`, `accuracy_low` and `accuracy_high` (95 % interval), `accuracy_count`; the same four of the examples of
    each class as `per_label.<label>`.
"""


class SnliVeAccuracy(evaluate.Metric):
    """`metrics_vl.labels.score_labels` for `evaluate`, with the classes of SNLI-VE."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features({"example_ids": text, "predictions": text, "references": text}),
            reference_urls=["https://github.com/necla-ml/SNLI-VE"],
        )

    def _compute(
        self, *, example_ids: Sequence[str], predictions: Sequence[str], references: Sequence[str]
    ) -> dict[str, Any]:
        keyed = (by_example_id(example_ids, column) for column in (predictions, references))
        return flat(score_labels(*keyed, labels=SNLI_VE_LABELS))
