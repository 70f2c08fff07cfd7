"""Recall at k of caption-based retrieval, from texts to images and from images to texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from metrics_vl.example_ids import by_example_id
from metrics_vl.recall import score_retrieval
from metrics_vl.shares import flat

INPUTS = """
Args:
    example_ids: Ids of the texts; each may come once.
    predictions: For each text its scores with all images, higher is better.
    references: For each text the number of the image it belongs to, which is its place among the scores.
    ks: Numbers of candidates looked at, 1, 5 and 10 by default.

Returns:
    `text_to_image.recall_at_1`, ... and `image_to_text.recall_at_1`, ..., each also with `_low` and `_high` (95 %
    interval) and `_count`. Of an image's texts the best one counts. Ties count against the model.
"""


class RetrievalRecall(evaluate.Metric):
    """`metrics_vl.recall.score_retrieval` for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "example_ids": datasets.Value("string"),
                    "predictions": datasets.List(datasets.Value("float32")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(
        self,
        *,
        example_ids: Sequence[str],
        predictions: Sequence[Sequence[float]],
        references: Sequence[int],
        ks: Sequence[int] = (1, 5, 10),
    ) -> dict[str, Any]:
        rows = by_example_id(example_ids, predictions)
        return flat(score_retrieval(np.array(list(rows.values()), dtype=np.float32), references, ks))
