"""Recall at k of phrase grounding (Flickr30k Entities): IoU of 0.5 or more among the k best proposals of a phrase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from metrics_vl.box_recall import BoxProtocol, score_phrases
from metrics_vl.example_ids import by_example_id
from metrics_vl.shares import flat

INPUTS = """
Args:
    example_ids: Ids of the sentences; each may come once.
    predictions: For each sentence the `boxes` of the proposals (x1 y1 x2 y2 in pixels), and `scores`: for each of its
        phrases a list with one score for each proposal.
    references: For each sentence the `boxes` and the `types` of its phrases, a list for each phrase in the same order.
        Phrases without boxes do not count.
    proposals: Where the proposals come from; required, and returned, as scores from different ones do not compare.
    protocol: Where a phrase has several boxes, whether a proposal must match any of them ("any_box", default) or the
        smallest box around all ("merged_box").
    ks: Numbers of proposals looked at, 1, 5 and 10 by default.
    plus_one: Whether a box covers the pixels of both its corners (default: no).

Returns:
    `recall_at_1`, ... and `upper_bound` (any proposal matches), each also with `_low` and `_high` (95 % interval) and
    `_count`; the same of each type as `per_type.<type>.recall_at_1`, ...; `proposals`, `protocol` and `plus_one`. Ties
    count against the model.
"""


class PhraseRecall(evaluate.Metric):
    """`metrics_vl.box_recall.score_phrases` for `evaluate`."""

    def _info(self) -> evaluate.MetricInfo:
        numbers = datasets.List(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description=INPUTS,
            features=datasets.Features(
                {
                    "example_ids": datasets.Value("string"),
                    "predictions": {"boxes": datasets.List(numbers), "scores": datasets.List(numbers)},
                    "references": {
                        "boxes": datasets.List(datasets.List(numbers)),
                        "types": datasets.List(datasets.List(datasets.Value("string"))),
                    },
                }
            ),
            reference_urls=["https://github.com/BryanPlummer/flickr30k_entities"],
        )

    def _compute(
        self,
        *,
        example_ids: Sequence[str],
        predictions: Sequence[dict[str, Any]],
        references: Sequence[dict[str, Any]],
        proposals: str,
        protocol: BoxProtocol = "any_box",
        ks: Sequence[int] = (1, 5, 10),
        plus_one: bool = False,
    ) -> dict[str, Any]:
        phrases = [
            [
                {"boxes": boxes, "types": types}
                for boxes, types in zip(sentence["boxes"], sentence["types"], strict=True)
            ]
            for sentence in references
        ]
        scores = score_phrases(
            by_example_id(example_ids, predictions),
            by_example_id(example_ids, phrases),
            proposals=proposals,
            protocol=protocol,
            ks=ks,
            plus_one=plus_one,
        )
        return flat(scores)
