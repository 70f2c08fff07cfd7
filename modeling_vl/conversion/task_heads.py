"""Heads of fine-tuned checkpoints, and which of our classes holds them.

Each code base lists its heads (`code_base_heads`). A conversion asks for one of them by the name of its task; the
others are dropped by name, with what to ask for to keep them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from .original_config import OriginalConfig
from .rules import Rule, drop

PRETRAINING, MASKED_LM, MULTI_TASK = "PreTraining", "MaskedLM", "MultiTask"

ENTRY = r"(?P<entry>\w+)"
"""Stands in a stem for the name under which a code base keeps one of many heads."""

_PARAMETER = r"(?P<parameter>weight|bias)"


def _no_fields(original: OriginalConfig) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class TaskHead:
    """One head of a code base.

    Args:
        task: What a conversion asks for.
        model: What our class' name ends with, after "For".
        stem: Regular expression of what all its names begin with.
        parts: Regular expression of what follows the stem, to what our names begin with; weights and biases both.
            None: never used by the code base.
        fields: Reads off the code base's config what ours must say for the head to compute the same. Widths and the
            number of labels are read off the weights.
    """

    task: str
    model: str
    stem: str
    parts: Mapping[str, str | None]
    fields: Callable[[OriginalConfig], dict[str, Any]] = _no_fields

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems of the heads that are kept."""
        return (self.stem,)

    def rules(self) -> list[Rule]:
        """Rules for the head's weights."""
        return [
            drop(rf"{self.stem}{part}\.{_PARAMETER}", "the original builds it and never uses it")
            if ours is None
            else Rule(rf"{self.stem}{part}\.{_PARAMETER}", rf"{ours}\g<parameter>")
            for part, ours in self.parts.items()
        ]

    def stored_in(self, names: Iterable[str]) -> bool:
        """Whether a checkpoint with these names has the head."""
        return all(any(re.match(rf"{stem}\.", name) for name in names) for stem in self.stems)

    def entries(self, names: Iterable[str]) -> list[str]:
        """Under which names a checkpoint keeps such heads."""
        return sorted({match["entry"] for name in names if (match := re.match(rf"{self.stem}\.", name))})

    def at(self, entry: str) -> TaskHead:
        """The head under one of its entries."""
        return replace(self, stem=self.stem.replace(ENTRY, re.escape(entry)))

    def config_fields(self, original: OriginalConfig, converted: Mapping[str, Tensor]) -> dict[str, Any]:
        """What our config must say.

        Args:
            original: The code base's config.
            converted: The head's weights by our names, among others.

        Returns:
            Config fields. Names of labels come before their number, which forgets names that are too few or too many.
        """
        rows = {name: len(tensor) for name, tensor in converted.items() if name.endswith(".weight")}
        width, fields = rows.get("cls.dense.weight", 0), self.fields(original)
        if width:
            fields["classifier_layer_norm"] = "cls.LayerNorm.weight" in rows
        if self.model == "RegionGrounding":
            fields["region_classifier_hidden_size"] = width
        if self.model in ("VisualQuestionAnswering", "SequenceClassification"):
            fields["classifier_hidden_size"] = width
            labels = rows.get("cls.decoder.weight", rows.get("cls.weight"))
            fields |= {} if labels is None else {"num_labels": labels}
        if "attention.query.weight" in rows:
            fields["phrase_attention_size"] = rows["attention.query.weight"]
        return fields


@dataclass(frozen=True)
class SharedTrunk(TaskHead):
    """Several heads of a code base, which one multi-task model of ours holds.

    Args:
        task: What a conversion asks for.
        model: What our class' name ends with.
        stem: Empty: the parts are whole names.
        parts: The parts of all heads.
        fields: As in `TaskHead`.
        heads: The heads by our names for their tasks.
        tasks: What `multi_task_heads` says of each task besides its head's fields.
    """

    heads: Mapping[str, TaskHead] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, task: str, heads: Mapping[str, TaskHead], tasks: Mapping[str, Mapping[str, Any]]) -> SharedTrunk:
        """Put heads together.

        Args:
            task: What a conversion asks for.
            heads: The heads by our names for their tasks.
            tasks: What `multi_task_heads` says of each task besides its head's fields.

        Returns:
            The heads as one.
        """
        parts = {
            head.stem + part: ours and ours.replace("cls.", f"cls.{name}.", 1)
            for name, head in heads.items()
            for part, ours in head.parts.items()
        }
        return cls(task, MULTI_TASK, "", parts, heads=heads, tasks=tasks)

    @property
    def stems(self) -> tuple[str, ...]:
        """Stems of the heads that are kept."""
        return tuple(head.stem for head in self.heads.values())

    def config_fields(self, original: OriginalConfig, converted: Mapping[str, Tensor]) -> dict[str, Any]:
        """The field `multi_task_heads`, as in `TaskHead` for each head."""
        described = {name: dict(task) for name, task in self.tasks.items()}
        for name, head in self.heads.items():
            prefix = f"cls.{name}."
            own = {f"cls.{key.removeprefix(prefix)}": value for key, value in converted.items() if prefix in key}
            described[name] |= head.config_fields(original, own)
        return {"multi_task_heads": described}


def choose_head(
    heads: Sequence[TaskHead], task: str, entry: str | None, names: Iterable[str], code_base: str
) -> TaskHead:
    """Find the head that is asked for.

    Args:
        heads: The code base's.
        task: The task.
        entry: Which of several heads, for a code base that keeps them under names of their own.
        names: The checkpoint's.
        code_base: Name for messages.

    Returns:
        The head.

    Raises:
        ValueError: When the code base has no such task or the checkpoint no such head, or it is not clear which.
    """
    names = list(names)
    found = [head for head in heads if head.task == task]
    if not found:
        tasks = ", ".join(head.task for head in heads)
        raise ValueError(f"{code_base} has no head for task {task!r}; its tasks are {tasks}")
    head = found[0]
    if ENTRY in head.stem:
        entries = head.entries(names)
        entry = entries[0] if entry is None and len(entries) == 1 else entry
        if entry not in entries:
            raise ValueError(
                f"the checkpoint holds the heads {', '.join(entries) or 'of no task'}; "
                + ("name the one to keep" if entry is None else f"there is no {entry}")
            )
        return head.at(entry)
    if entry is not None:
        raise ValueError(f"{code_base} has one place for the head of task {task!r}; no entry {entry!r} can be chosen")
    if not head.stored_in(names):
        there = ", ".join(other.task for other in heads if other.stored_in(names))
        raise ValueError(f"the checkpoint has no head for task {task!r}; it has heads for {there or 'no task'}")
    return head


def drop_other_heads(heads: Sequence[TaskHead], chosen: TaskHead | None) -> list[Rule]:
    """Rules that drop the heads which were not asked for, and say how to get them.

    Args:
        heads: The code base's.
        chosen: The one that is kept, None for none.

    Returns:
        The rules.
    """
    tasks: dict[str, list[str]] = {}
    for head in heads:
        if head.model not in (MASKED_LM, MULTI_TASK):
            tasks.setdefault(head.stem, []).append(head.task)
    rules = []
    for stem, names in tasks.items():
        if chosen is not None and stem in chosen.stems:
            continue
        reason = f"a task head that was not asked for: convert with task {' or '.join(names)} to keep it"
        if ENTRY in stem:
            reason = r"a task head that was not asked for: convert with its task and the entry \g<entry> to keep it"
            kept = "" if chosen is None else rf"(?!{chosen.stem}\.)"
            stem = kept + stem
        rules.append(drop(rf"{stem}\..+", reason))
    return rules


def drop_pretraining_heads(model: str, architecture: str) -> list[Rule]:
    """Rules that drop the pre-training heads which a class has no place for.

    Args:
        model: What its name ends with.
        architecture: Its name.

    Returns:
        The rules.
    """
    names = ["imagePredictions", "bi_seq_relationship", "seq_relationship"]
    if model != MASKED_LM:
        names.append("predictions")
    reason = f"a pre-training head, which {architecture} has not"
    return [drop(rf"cls\.(?:{'|'.join(names)})\..+", reason)]
