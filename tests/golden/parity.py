"""Which numbers of which code base are compared by which functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from tests.golden import classifier_outputs, task_outputs, vilbert_outputs, visualbert_outputs, volta_outputs
from tests.golden.fixtures import GoldenFile
from tests.golden.harness import Case, Comparison, Ours, compare


class Outputs(NamedTuple):
    """How to get our numbers for a kind of golden file.

    Attributes:
        produce: Yields them by the name of the stored output.
        not_compared: Pattern of output names to the reason why they are left out.
    """

    produce: Callable[[Case], Iterator[tuple[str, Ours]]]
    not_compared: Mapping[str, str]


VILBERT = Outputs(vilbert_outputs.vilbert_outputs, vilbert_outputs.NOT_COMPARED)
VISUALBERT = Outputs(visualbert_outputs.visualbert_outputs, visualbert_outputs.NOT_COMPARED)
VOLTA = Outputs(volta_outputs.volta_outputs, volta_outputs.NOT_COMPARED)

CLASSIFIERS = classifier_outputs.NOT_COMPARED

TASKS = {
    r"(vilbert|volta)_\w+ForVLTasks": Outputs(task_outputs.task_outputs, task_outputs.NOT_COMPARED),
    r"mmf_\w+ForClassification_\w+": Outputs(classifier_outputs.mmf_outputs, CLASSIFIERS),
    r"uclanlp_(?!\w*pretraining)\w+|hf_(?!\w*(Model|ForPreTraining)$)\w+": Outputs(
        classifier_outputs.visualbert_task_outputs, CLASSIFIERS
    ),
}
"""Files of fine-tuned tasks by their names."""


def outputs_of(golden: GoldenFile) -> Outputs:
    """How a golden file's numbers are made."""
    for pattern, outputs in TASKS.items():
        if re.fullmatch(pattern, golden.name):
            return outputs
    if golden.code_base == "volta":
        return VOLTA
    return VILBERT if "_vilbert" in f"_{golden.name}" else VISUALBERT


def compare_file(golden: GoldenFile, backend: str, layout: str) -> list[Comparison]:
    """Hold every stored output of a golden file against ours.

    Args:
        golden: The file.
        backend: Name of the attention function.
        layout: "packed" or "padded".

    Returns:
        One comparison an output.
    """
    outputs = outputs_of(golden)
    return compare(Case(golden, backend, layout), outputs.produce, outputs.not_compared)
