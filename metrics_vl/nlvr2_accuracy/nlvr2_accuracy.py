"""NLVR2: accuracy, and consistency (share of sentences that are judged rightly with each of their image pairs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.example_ids import by_example_id
from metrics_vl.nlvr2 import score_nlvr2
from metrics_vl.shares import flat

INPUTS = """
Args:
    example_ids: Identifiers; each may come once.
    predictions: "True" or "False".
    references: For each example its `label`, "True" or "False", and its `group`: what consistency judges together, the
        same sentence of the same set of images.

Returns:
    `accuracy` and `consistency`, each also with `_low` and `_high` (95 % interval) and `_count`.
"""


class Nlvr2Accuracy(evaluate.Metric):
    """`metrics_vl.nlvr2.score_nlvr2` for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {"example_ids": text, "predictions": text, "references": {"label": text, "group": text}}
            ),
            reference_urls=["https://lil.nlp.cornell.edu/nlvr/"],
        )

    def _compute(
        self, *, example_ids: Sequence[str], predictions: Sequence[str], references: Sequence[dict[str, str]]
    ) -> dict[str, Any]:
        labels, groups = (
            by_example_id(example_ids, [reference[name] for reference in references]) for name in ("label", "group")
        )
        return flat(score_nlvr2(by_example_id(example_ids, predictions), labels, groups))
