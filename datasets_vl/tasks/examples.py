"""From a record of a benchmark and its images to the example that a collator reads, for every kind of task."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from metrics_vl.vqa_scores import Variant, soft_scores
from processing_vl.region_features import RegionFeatures
from processing_vl.task_example import Mention, TaskExample

from .box_targets import distribution_over_boxes, regions_of_objects, scores_of_box
from .records import Record, TaskKind
from .table import TaskTable

Choosing = Literal["answer", "rationale"]


class ExampleForm(ABC):
    """What the records of one kind are turned into. Its attributes are the options of the kind."""

    @abstractmethod
    def fields(self, record: Record, images: Sequence[RegionFeatures], labels: Mapping[str, int]) -> dict[str, Any]:
        """The fields of a `TaskExample` beside its index, id and images.

        Args:
            record: Of the kind.
            images: What it is about.
            labels: The number of every class or answer of the task.

        Returns:
            Values by field.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnsweredQuestion(ExampleForm):
    """A question with the `scores` of its answers; where it has one right answer, also with that one's `label`.

    Attributes:
        soft_scores: How the answers of several people become scores, see `metrics_vl.vqa_scores.answer_score`; such
            answers are normalised. One right answer (GQA) is taken as it is, and scores 1.
    """

    soft_scores: Variant = "official"

    def __post_init__(self) -> None:
        """Refuse an unknown formula."""
        _check_choice("soft_scores", self.soft_scores, get_args(Variant))

    def fields(self, record: Record, images: Sequence[RegionFeatures], labels: Mapping[str, int]) -> dict[str, Any]:
        """See `ExampleForm.fields`."""
        answers = record["answers"]
        question = {"texts": [record["question"]]}
        if not answers:
            return question
        if len(answers) > 1:
            by_answer = soft_scores(answers, self.soft_scores)
            return question | {"scores": {labels[name]: score for name, score in by_answer.items() if name in labels}}
        label = labels.get(answers[0])
        return question | {"scores": {} if label is None else {label: 1.0}, "label": label}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices(ExampleForm):
    """A question with each of its answers, or a question and its answer with each of the rationales (VCR).

    Attributes:
        choose: "answer": text = question, second text = answer. "rationale": text = question and right answer, second
            text = rationale.
        given_answer: With "rationale", the number of the answer to take instead of the right one. Such examples have
            no label: the leaderboard, and Q->AR on a split without labels, want the rationales for every answer.
        separator: With "rationale", what stands between question and answer: nothing (uclanlp), or "[SEP]"
            (vilbert_beta, vilbert-multi-task).
        mention_iou: Intersection over union from which a region is the object that a word mentions.
    """

    choose: Choosing = "answer"
    given_answer: int | None = None
    separator: str = ""
    mention_iou: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        _check_choice("choose", self.choose, get_args(Choosing))
        _check_share("mention_iou", self.mention_iou)
        if self.given_answer is not None and self.choose == "answer":
            raise ValueError(f"given_answer={self.given_answer} goes with choose='rationale' only")
        if self.separator and self.choose == "answer":
            raise ValueError(f"separator={self.separator!r} goes with choose='rationale' only")

    def fields(self, record: Record, images: Sequence[RegionFeatures], labels: Mapping[str, int]) -> dict[str, Any]:
        """See `ExampleForm.fields`."""
        first, seconds, label = record["question"], record["answers"], record["answer_label"]
        if self.choose == "rationale":
            first = _joined(first, record["answers"][self._answer_of(record)], self.separator)
            seconds = record["rationales"]
            label = record["rationale_label"] if self.given_answer is None else None
        linked = regions_of_objects(images[0], record["object_boxes"], minimum_iou=self.mention_iou)
        of_first = _linked_mentions(0, first, linked)
        return {
            "texts": [first["text"]] * len(seconds),
            "text_pairs": [second["text"] for second in seconds],
            "mentions": [of_first + _linked_mentions(1, second, linked) for second in seconds],
            "label": label,
        }

    def _answer_of(self, record: Record) -> int:
        answer = record["answer_label"] if self.given_answer is None else self.given_answer
        if answer is None:
            raise ValueError(
                f"example {record['example_id']!r} does not say which answer is right: set given_answer, and go "
                "through all of them"
            )
        if not 0 <= answer < len(record["answers"]):
            raise ValueError(
                f"given_answer is {answer}, example {record['example_id']!r} has {len(record['answers'])}"
            )
        return answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statement(ExampleForm):
    """A sentence about one image or two, with the number of its class."""

    def fields(self, record: Record, images: Sequence[RegionFeatures], labels: Mapping[str, int]) -> dict[str, Any]:
        """See `ExampleForm.fields`."""
        label = record["label"]
        if label is not None and label not in labels:
            raise ValueError(f"example {record['example_id']!r} has the label {label!r}, the task has {list(labels)}")
        return {"texts": [record["sentence"]], "label": None if label is None else labels[label]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReferringExpression(ExampleForm):
    """An expression, with the overlap of every region with what it refers to.

    Attributes:
        zero_below: See `scores_of_box`.
        plus_one: See `scores_of_box`.
    """

    zero_below: float = 0.0
    plus_one: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no overlap."""
        _check_share("zero_below", self.zero_below)

    def fields(self, record: Record, images: Sequence[RegionFeatures], labels: Mapping[str, int]) -> dict[str, Any]:
        """See `ExampleForm.fields`."""
        scores = scores_of_box(images[0], record["box"], zero_below=self.zero_below, plus_one=self.plus_one)
        return {"texts": [record["sentence"]], "region_scores": scores}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhrasesOfSentence(ExampleForm):
    """A sentence with its phrases, each with a distribution over the regions.

    Attributes:
        minimum_iou: See `distribution_over_boxes`; by default what counts as found in evaluation.
        plus_one: See `distribution_over_boxes`; by default as in evaluation.
    """

    minimum_iou: float = 0.5
    plus_one: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no overlap."""
        _check_share("minimum_iou", self.minimum_iou)

    def fields(self, record: Record, images: Sequence[RegionFeatures], labels: Mapping[str, int]) -> dict[str, Any]:
        """See `ExampleForm.fields`."""
        targets = np.zeros((len(record["phrases"]), images[0].num_regions), dtype=np.float32)
        for target, phrase in zip(targets, record["phrases"], strict=True):
            target[:] = distribution_over_boxes(
                images[0], phrase["boxes"], minimum_iou=self.minimum_iou, plus_one=self.plus_one
            )
        return {
            "texts": [record["sentence"]],
            "phrases": [(phrase["start"], phrase["end"]) for phrase in record["phrases"]],
            "phrase_targets": targets,
        }


EXAMPLE_FORMS: dict[TaskKind, type[ExampleForm]] = {
    "question_answering": AnsweredQuestion,
    "multiple_choice": Choices,
    "classification": Statement,
    "referring_expressions": ReferringExpression,
    "phrase_grounding": PhrasesOfSentence,
}


class TaskExamples:
    """Makes the examples of a task table. Nothing is drawn at random: an example is the same in every epoch.

    Args:
        table: The records.
        **options: Attributes of the kind's form in `EXAMPLE_FORMS`, such as `choose="rationale"`.

    Raises:
        TypeError: If the kind has no such option.
        ValueError: If an option makes no sense, or labels are needed and missing.
    """

    def __init__(self, table: TaskTable, **options: Any) -> None:
        form = EXAMPLE_FORMS[table.kind]
        known = [field.name for field in dataclasses.fields(form)]
        unknown = [name for name in options if name not in known]
        if unknown:
            has = f"the options {', '.join(known)}" if known else "no options"
            raise TypeError(f"examples of {table.kind} have {has}, got {', '.join(unknown)}")
        if table.kind in ("question_answering", "classification") and not table.labels:
            raise ValueError(f"the table of {table.task or table.kind} has no labels: prepare it with a vocabulary")
        self.table = table
        self.form = form(**options)

    @property
    def settings(self) -> dict[str, Any]:
        """What, beside the region features, decides which examples come; compared when a run is resumed."""
        return {"kind": self.table.kind, "records": self.table.fingerprint, **dataclasses.asdict(self.form)}

    def example(self, regions: RegionFeatures, index: int, epoch: int, *second: RegionFeatures) -> TaskExample:
        """The example of one record.

        Args:
            regions: The record's image, the first one of two; passed on, not copied, as the second is.
            index: Number of the record in the table.
            epoch: Which pass over the data; every one gives the same.
            *second: The second image of a record about two (NLVR2).

        Returns:
            The example. What a split does not know, such as the answers of a test split, is missing or None.

        Raises:
            ValueError: If the record is about other images.
        """
        images = [regions, *second]
        wanted, got = self.table.images_of(index), [image.image_id for image in images]
        if got != wanted:
            raise ValueError(f"record {index} is about image {_names(wanted)}, got regions of {_names(got)}")
        record = self.table.record(index)
        fields = self.form.fields(record, images, self.table.label_numbers)
        return TaskExample(index=index, example_id=record["example_id"], images=images, **fields)


def _names(image_ids: Sequence[str]) -> str:
    return " and ".join(map(repr, image_ids))


def _joined(first: dict[str, Any], second: dict[str, Any], separator: str) -> dict[str, Any]:
    between = f" {separator} " if separator else " "
    shift = len(first["text"]) + len(between)
    moved = [{**each, "start": each["start"] + shift, "end": each["end"] + shift} for each in second["mentions"]]
    return {"text": f"{first['text']}{between}{second['text']}", "mentions": first["mentions"] + moved}


def _linked_mentions(which: int, text: dict[str, Any], linked: Sequence[int | None]) -> list[Mention]:
    mentions = []
    for mention in text["mentions"]:
        regions = [linked[number] for number in mention["objects"] if linked[number] is not None]
        if regions:
            mentions.append((which, mention["start"], mention["end"], regions))
    return mentions


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must lie between 0 and 1, got {value}")
