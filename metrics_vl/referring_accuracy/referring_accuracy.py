"""Accuracy on referring expressions (RefCOCO, RefCOCO+, RefCOCOg): IoU above 0.5 of the best-scored proposal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.box_recall import score_referring
from metrics_vl.example_ids import by_example_id
from metrics_vl.shares import flat

INPUTS = """
Args:
    example_ids: Ids of the expressions; each may come once.
    predictions: For each expression the proposals' `boxes` (x1 y1 x2 y2 in pixels) and one score for each of them in
        `scores`.
    references: For each expression the box it means, x1 y1 x2 y2 in pixels.
    proposals: Where the proposals come from; required, and returned, as scores from different ones do not compare.
    plus_one: Whether a box covers the pixels of both its corners, as in vilbert-multi-task and VOLTA (default).

Returns:
    `accuracy` and `upper_bound` (any proposal matches), each also with `_low` and `_high` (95 % interval) and
    `_count`; `proposals` and `plus_one`. Ties count against the model.
"""


class ReferringAccuracy(evaluate.Metric):
    """`metrics_vl.box_recall.score_referring` for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        numbers = datasets.List(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "example_ids": datasets.Value("string"),
                    "predictions": {"boxes": datasets.List(numbers), "scores": numbers},
                    "references": numbers,
                }
            ),
        )

    def _compute(
        self,
        *,
        example_ids: Sequence[str],
        predictions: Sequence[dict[str, Any]],
        references: Sequence[Sequence[float]],
        proposals: str,
        plus_one: bool = True,
    ) -> dict[str, Any]:
        keyed = (by_example_id(example_ids, column) for column in (predictions, references))
        return flat(score_referring(*keyed, proposals=proposals, plus_one=plus_one))
