"""All rows of the benchmark, and what each aims at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from . import data_rows, retrieval_rows, sweeps, training_rows
from .measuring import matrix_rates


class Row(NamedTuple):
    """One measurement, made in a process of its own.

    Attributes:
        title: What is measured.
        measure: Measures it; returns what JSON can hold.
        targets: For each peer, the smallest ratio aimed at, or None for 93 % of the bound.
    """

    title: str
    measure: Callable[[], dict[str, Any]]
    targets: dict[str, float | None] = {}


ROWS = {
    "matrix_rate": Row("Large matrix products", matrix_rates),
    "visualbert": Row(
        "Pre-training step, VisualBERT base, float32",
        training_rows.visualbert_pretraining,
        {training_rows.FIXED: None, training_rows.LONGEST: None},
    ),
    "visualbert_bf16": Row(
        "Pre-training step, VisualBERT base, bf16",
        partial(training_rows.visualbert_pretraining, bf16=True),
        {training_rows.FIXED: 2.5, training_rows.LONGEST: None},
    ),
    "visualbert_as_shipped": Row(
        "Pre-training step, VisualBERT base, ours in bf16, peer in float32",
        partial(training_rows.visualbert_pretraining, bf16=True, peer_bf16=False),
        {training_rows.FIXED: 6},
    ),
    "vilbert": Row(
        "Pre-training step, ViLBERT 6-layer, float32",
        training_rows.vilbert_pretraining,
        {training_rows.PLAIN: None},
    ),
    "vilbert_bf16": Row(
        "Pre-training step, ViLBERT 6-layer, bf16",
        partial(training_rows.vilbert_pretraining, bf16=True),
        {training_rows.PLAIN: 2.4},
    ),
    "padded_blocks": Row("The same layers, padded and eager", training_rows.padded_blocks),
    "vqa": Row("Fine-tuning step, VQA", training_rows.vqa, {training_rows.TRANSFORMERS: None}),
    "vcr": Row("Fine-tuning step, VCR with 4 choices", training_rows.vcr, {training_rows.TRANSFORMERS: None}),
    "nlvr2": Row("Fine-tuning step, NLVR2", training_rows.nlvr2, {training_rows.TRANSFORMERS: None}),
    "retrieval": Row("N x M retrieval, ViLBERT 6-layer", retrieval_rows.retrieval, {retrieval_rows.FAST_MODE: None}),
    "two_stages": Row(
        "The same, the model ranks 5 of 100 images", retrieval_rows.two_stages, {retrieval_rows.FAST_MODE: 20}
    ),
    "region_features": Row(
        "Region features, random batches of 32",
        data_rows.region_features,
        {data_rows.LMDB: 10, data_rows.ARRAY2D: 5},
    ),
    "data_set_size": Row("Region features of 1,000 and of 200,000 images", data_rows.data_set_size),
    "import_time": Row("Import", data_rows.import_time),
    "processes": Row("One process and two", sweeps.processes),
    **{f"sweep_{axis}": Row(f"Growth with {axis}", partial(sweeps.sweep, axis)) for axis in sweeps.POINTS},
}
