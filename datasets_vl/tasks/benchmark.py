"""What a benchmark is to `examples/prepare_task.py`: its kind, its official files, and what reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .proposals import ProposalBoxes
from .records import Record, TaskKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """A keyword argument of a reader, a text or a list of texts, as an option of the command line.

    Attributes:
        help: What it is, for the person at the command line.
        required: Whether there is no reading without it. One that is not required and not given is left out, so that
            the reader's own default holds.
        many: Whether it takes one or more values, as a list.
        choices: The values it may have; any when None.
    """

    help: str
    required: bool = False
    many: bool = False
    choices: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: What it is called on the command line and in a prepared folder.
        kind: Of its records.
        summary: One line for the command's help.
        read: Reads the official files of one split, record by record. Called with the given `options` as keywords.
        options: Keyword arguments of `read`, the official files first.
        labels: The classes in the order of their numbers, where the benchmark fixes them.
        min_answer_count: Where the classes are an answer vocabulary, how often an answer must occur to be one of a
            vocabulary that is built; None where they are not.
        reads_split: Whether the official files hold several splits, of which `read` takes the one that is asked for.
        counts_left_out: Whether `read` takes `left_out=`, a counter by reason of what it does not yield.
        read_proposals: Reads a file of detections that are usual in comparisons; called with the file and the given
            `options`. None where no boxes are chosen from, or none are usual.
    """

    name: str
    kind: TaskKind
    summary: str
    read: Callable[..., Iterator[Record]]
    options: Mapping[str, Option]
    labels: tuple[str, ...] | None = None
    min_answer_count: int | None = None
    reads_split: bool = False
    counts_left_out: bool = False
    read_proposals: Callable[[str | Path, Mapping[str, Any]], ProposalBoxes] | None = None
