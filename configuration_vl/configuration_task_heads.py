"""What the heads of the fine-tuned tasks look like, and which tasks a multi-task model does."""

from copy import deepcopy
from dataclasses import field, fields
from typing import Any

from huggingface_hub.dataclasses import strict  # reads the annotations themselves: no postponed ones in this file
from huggingface_hub.errors import StrictDataclassError

from .configuration_checks import CheckedConfig

TASK_KINDS = (
    "question_answering",
    "multiple_choice",
    "classification",
    "retrieval",
    "referring_expressions",
    "phrase_grounding",
)
"""Kinds of task: VQA and GQA; VCR; NLVR2 and SNLI-VE; captions; RefCOCO, RefCOCO+, RefCOCOg; Flickr30k Entities."""

ANSWER_POSITIONS = ("pooled", "mask")
ANSWER_LOSSES = ("bce", "kl")
IMAGE_PAIR_METHODS = ("pooled", "sequence")
RETRIEVAL_HEADS = ("alignment", "score")


@strict
class TaskHeadConfig(CheckedConfig):
    """Fields of the task heads, the same for both models. Models without such a head do not read them.

    The number of answers or classes is `num_labels`, their names `id2label`, as everywhere in transformers.

    Args:
        classifier_hidden_size: Width between the two layers that classify answers and classes; 0 for one linear layer
            (uclanlp, transformers). None means twice `pooler_size` (vilbert_beta, vilbert-multi-task).
        classifier_act: Activation between the two layers: "gelu", or "relu" in vilbert_beta.
        classifier_layer_norm: Whether a layer norm follows the activation (vilbert-multi-task, VOLTA, MMF).
        classifier_dropout_prob: Dropout between the two layers (0.5 in vilbert_beta).
        region_classifier_hidden_size: The same as `classifier_hidden_size` for the score of a region; 0 for one linear
            layer, as everywhere but in VOLTA's `num_clf_layers` 2.
        head_dropout_prob: Dropout on what a head that answers, classifies or scores reads. None means
            `hidden_dropout_prob`.
        answer_position: What a question is answered from: "pooled", the fused text and image (ViLBERT), or "mask", the
            state of the `[MASK]` in front of the last `[SEP]` (VisualBERT).
        answer_loss: Loss of soft answer scores: "bce", binary cross-entropy summed over the answers (ViLBERT), or
            "kl", Kullback-Leibler divergence from the scores as they are given (uclanlp, transformers).
        num_images: Images a statement is about: 1 (SNLI-VE) or 2 (NLVR2).
        image_pair_method: How two images are read: "pooled", each with the text, and the two fused vectors are
            concatenated (vilbert-multi-task, VOLTA, MMF), or "sequence", as one sequence of regions with visual types
            0 and 1 (uclanlp).
        retrieval_head: What scores a text and an image: "alignment", the log-odds of the head that pre-training
            trained, or "score", a linear layer of one output (`vil_logit` of vilbert_beta).
        phrase_attention_size: Width of the attention between a phrase and the regions. None means
            `hidden_size / num_attention_heads`, as in uclanlp and transformers.
        multi_task_heads: Tasks of a multi-task model, name to a dict with the task's "kind" (one of `TASK_KINDS`) and
            any of: "task_id", its row of the task token table (its place in this dict when left out); "num_labels" or
            "id2label" and fields of this class, where it differs from the rest of the config; or instead of these
            "head", the name of another task whose head it shares.
    """

    size_fields = ("phrase_attention_size",)
    activation_fields = ("classifier_act",)
    non_negative_fields = ("classifier_hidden_size", "region_classifier_hidden_size")
    probability_fields = ("classifier_dropout_prob", "head_dropout_prob")

    classifier_hidden_size: int | None = None
    classifier_act: str = "gelu"
    classifier_layer_norm: bool = True
    classifier_dropout_prob: float | int = 0.0
    region_classifier_hidden_size: int = 0
    head_dropout_prob: float | int | None = None
    answer_position: str = "pooled"
    answer_loss: str = "bce"
    num_images: int = 1
    image_pair_method: str = "pooled"
    retrieval_head: str = "alignment"
    phrase_attention_size: int | None = None
    multi_task_heads: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what follows from the model's fields."""
        if self.classifier_hidden_size is None:
            self.classifier_hidden_size = 2 * self.pooler_size
        if self.head_dropout_prob is None:
            self.head_dropout_prob = self.hidden_dropout_prob
        if self.phrase_attention_size is None:
            self.phrase_attention_size = self.hidden_size // self.num_attention_heads
        # A saved config lists its keys by the alphabet: task ids and the order of the heads must not change with that.
        self.multi_task_heads = dict(sorted(self.multi_task_heads.items()))
        super().__post_init__(**kwargs)

    def check_consistency(self) -> None:
        """Raise a `ValueError` that names the fields when values contradict each other."""
        super().check_consistency()
        self._check_one_of("answer_position", ANSWER_POSITIONS)
        self._check_one_of("answer_loss", ANSWER_LOSSES)
        self._check_one_of("num_images", (1, 2))
        self._check_one_of("image_pair_method", IMAGE_PAIR_METHODS)
        self._check_one_of("retrieval_head", RETRIEVAL_HEADS)
        for name, task in self.multi_task_heads.items():
            where = f"multi_task_heads[{name!r}]"
            if not name.isidentifier():
                raise ValueError(f"{where}: a task's name is part of its parameters' names, use letters, digits and _")
            if not isinstance(task, dict) or task.get("kind") not in TASK_KINDS:
                raise ValueError(f"{where} must be a dict whose 'kind' is one of {list(TASK_KINDS)}, got {task!r}")
        for name, task in self.multi_task_heads.items():
            self._check_task(f"multi_task_heads[{name!r}]", name, task)

    def _check_task(self, where: str, name: str, task: dict[str, Any]) -> None:
        shares = "head" in task
        known = {"kind", "task_id", "head"} if shares else {"kind", "task_id", *_task_fields()}
        unknown = sorted(set(task) - known)
        if unknown:
            owner = "a task that shares a head" if shares else "a task"
            raise ValueError(f"{where} names {unknown}; {owner} may give {sorted(known)}")
        for key, least in (("task_id", 0), ("num_labels", 1)):
            number = task.get(key, least)
            if not isinstance(number, int) or number < least:
                raise ValueError(f"{where}: {key} must be a whole number of at least {least}, got {number!r}")
        labels = task.get("id2label", {0: ""})
        if not isinstance(labels, dict) or not labels or {*map(str, labels)} != {*map(str, range(len(labels)))}:
            raise ValueError(f"{where}: id2label must map the numbers from 0 on to names, got {labels!r}")
        if shares:
            head = self.multi_task_heads.get(str(task["head"]))
            if head is None or "head" in head:
                raise ValueError(
                    f"{where} shares the head of {task['head']!r}, which is no task with a head of its own"
                )
            if head["kind"] != task["kind"]:
                raise ValueError(
                    f"{where} is of kind {task['kind']!r}, but shares the head of {task['head']!r}, of kind "
                    f"{head['kind']!r}"
                )
        try:
            self.for_task(name)
        except (ValueError, StrictDataclassError) as error:
            raise ValueError(f"{where}: {error}") from error

    def task_id(self, name: str) -> int:
        """Row of the task token table of a task of a multi-task model.

        Args:
            name: A key of `multi_task_heads`.

        Returns:
            The task's "task_id", or its place among the sorted names of the tasks.
        """
        return self.multi_task_heads[name].get("task_id", list(self.multi_task_heads).index(name))

    def for_task(self, name: str) -> "TaskHeadConfig":
        """The configuration of one task of a multi-task model.

        Args:
            name: A key of `multi_task_heads`.

        Returns:
            A copy of this configuration with the fields that the task, or the task whose head it shares, gives.
        """
        given = self.multi_task_heads[self.multi_task_heads[name].get("head", name)]
        config = deepcopy(self)
        config.multi_task_heads = {}
        for key in _task_fields() & given.keys():
            value = given[key]
            if key == "id2label":  # JSON makes strings of numbers
                value = {int(number): label for number, label in value.items()}
            setattr(config, key, value)
        config.check_consistency()
        return config


def _task_fields() -> set[str]:
    """Fields that a task of a multi-task model may give for itself."""
    shared = {known.name for known in fields(CheckedConfig)} | {"multi_task_heads"}
    return {"num_labels", "id2label"} | {known.name for known in fields(TaskHeadConfig)} - shared
