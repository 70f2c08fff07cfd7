"""The tasks by name: what each asks of its benchmark's records, how it is scored, how predictions are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_vl.tasks.records import TaskKind

from . import submissions, task_scores
from .submissions import Write
from .task_kinds import KINDS, KindOfTask
from .task_scores import Score


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """One task.

    Attributes:
        name: Its name on the command line.
        benchmark: What its prepared folder says it holds, `datasets_vl.tasks.registry.BENCHMARKS`.
        kind: Of the benchmark's records.
        max_text_length: Word pieces a text keeps when nothing else is said: enough for nearly all texts.
        metric: The score that the best model is chosen by.
        score: Gives it.
        write: Writes predictions as the benchmark's server or script wants them.
        suffix: Of the written file.
        example_options: Of `datasets_vl.tasks.examples.TaskExamples`.
        training_options: The same in training alone.
        config_fields: Fields that the model's config must have.
        label_field: What a choice is scored against.
    """

    name: str
    benchmark: str
    kind: TaskKind
    max_text_length: int
    metric: str
    score: Score
    write: Write
    suffix: str
    example_options: Mapping[str, Any] = field(default_factory=dict)
    training_options: Mapping[str, Any] = field(default_factory=dict)
    config_fields: Mapping[str, Any] = field(default_factory=dict)
    label_field: str | None = None

    @property
    def chooses_boxes(self) -> bool:
        """Whether the answer is one of the boxes."""
        return self.kind in ("referring_expressions", "phrase_grounding")

    @property
    def how(self) -> KindOfTask:
        """How a model does it."""
        return KINDS[self.kind]


def _referring(name: str) -> TaskDefinition:
    return TaskDefinition(
        name=name,
        benchmark=name,
        kind="referring_expressions",
        max_text_length=20,
        metric="accuracy",
        score=task_scores.score_expressions,
        write=submissions.write_boxes,
        suffix=".jsonl",
        training_options={"zero_below": 0.5},  # vilbert_beta and vilbert-multi-task
    )


def _one_image(name: str) -> TaskDefinition:
    return TaskDefinition(
        name=name,
        benchmark=name,
        kind="classification",
        max_text_length=64,
        metric="accuracy",
        score=task_scores.score_classes,
        write=submissions.write_classes,
        suffix=".jsonl",
        config_fields={"num_images": 1},  # also for a model that was trained on NLVR2 before
    )


_ALL = (
    TaskDefinition(
        name="vqa",
        benchmark="vqa",
        kind="question_answering",
        max_text_length=23,
        metric="accuracy",
        score=task_scores.score_vqa,
        write=submissions.write_vqa,
        suffix=".json",
    ),
    TaskDefinition(
        name="gqa",
        benchmark="gqa",
        kind="question_answering",
        max_text_length=26,
        metric="accuracy",
        score=task_scores.score_gqa,
        write=submissions.write_gqa,
        suffix=".json",
    ),
    TaskDefinition(
        name="vcr_qa",
        benchmark="vcr",
        kind="multiple_choice",
        max_text_length=60,
        metric="accuracy",
        score=task_scores.score_answers,
        write=submissions.write_answer_probabilities,
        suffix=".csv",
        example_options={"choose": "answer"},
        label_field="answer_label",
    ),
    TaskDefinition(
        name="vcr_qar",
        benchmark="vcr",
        kind="multiple_choice",
        max_text_length=80,
        metric="accuracy",
        score=task_scores.score_rationales,
        write=submissions.write_rationale_probabilities,
        suffix=".csv",
        example_options={"choose": "rationale"},
        label_field="rationale_label",
    ),
    TaskDefinition(
        name="nlvr2",
        benchmark="nlvr2",
        kind="classification",
        max_text_length=40,
        metric="accuracy",
        score=task_scores.score_nlvr2,
        write=submissions.write_nlvr2,
        suffix=".csv",
        config_fields={"num_images": 2},
    ),
    _one_image("snli_ve"),
    _one_image("nlvr1"),
    _referring("refcoco"),
    _referring("refcoco+"),
    _referring("refcocog"),
    TaskDefinition(
        name="flickr30k_entities",
        benchmark="flickr30k_entities",
        kind="phrase_grounding",
        max_text_length=36,
        metric="recall_at_1",
        score=task_scores.score_phrases,
        write=submissions.write_phrase_boxes,
        suffix=".jsonl",
    ),
)

TASKS: dict[str, TaskDefinition] = {task.name: task for task in _ALL}
"""All tasks but retrieval."""


def predictions_file(output_dir: Path, task: TaskDefinition, split: str) -> Path:
    """Where a run writes its predictions of a `task` for a `split` into its `output_dir`."""
    return output_dir / f"predictions_{split}{task.suffix}"
