"""The task heads of each code base."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .original_config import OriginalConfig
from .task_heads import ENTRY, MASKED_LM, SharedTrunk, TaskHead

_NLVR2_LABELS = ("False", "True")
_SNLI_VE_LABELS = ("contradiction", "neutral", "entailment")

Parts = Mapping[str, str | None]
Fields = Callable[[OriginalConfig], dict[str, Any]]

_LINEAR: Parts = {"": "cls."}
"""A single linear layer."""

_BETA_LAYERS: Parts = {r"\.main\.0": "cls.dense.", r"\.main\.3": "cls.decoder."}
_LAYERS: Parts = {
    r"\.logit_fc\.0": "cls.dense.",
    r"\.logit_fc\.2": "cls.LayerNorm.",
    r"\.logit_fc\.3": "cls.decoder.",
}
_MMF_LAYERS: Parts = {
    r"\.0\.dense": "cls.dense.",
    r"\.0\.LayerNorm": "cls.LayerNorm.",
    r"\.1": "cls.decoder.",
}
_REGION_LAYERS: Parts = {"": "cls.", r"\.0": "cls.dense.", r"\.3": "cls.decoder."}
"""One layer, or two in VOLTA's `num_clf_layers` 2."""
_ATTENTION: Parts = {r"\.query": "attention.query.", r"\.key": "attention.key.", r"\.value": None}


def _fields(labels: Iterable[str] = (), **values: Any) -> Fields:
    """Fields that are the same whatever the code base's config says."""
    if labels:
        values["id2label"] = dict(enumerate(labels))
    return lambda original: dict(values)


MASKED_WORDS = TaskHead("masked_lm", MASKED_LM, r"cls\.predictions", {})
"""The head for masked words of pre-training, alone; its names are those of the pre-training class."""

_DROPOUT = {"head_dropout_prob": 0.1}
_DROPOUT_ALONE = _fields(**_DROPOUT)
_ANSWERS = _fields(answer_position="pooled", answer_loss="bce", **_DROPOUT)
_NLVR2 = _fields(_NLVR2_LABELS, num_images=2, image_pair_method="pooled", **_DROPOUT)
_SNLI_VE = _fields(_SNLI_VE_LABELS, **_DROPOUT)


def _logits(vil_logit: str, vision_logit: str, regions: Fields = _DROPOUT_ALONE) -> tuple[TaskHead, ...]:
    """Heads of a single number: of a text with its image (answers of VCR, captions), and of a region."""
    return (
        TaskHead("vcr", "MultipleChoice", vil_logit, _LINEAR, _DROPOUT_ALONE),
        TaskHead("retrieval", "ImageTextRetrieval", vil_logit, _LINEAR, _fields(retrieval_head="score", **_DROPOUT)),
        TaskHead("referring_expressions", "RegionGrounding", vision_logit, _REGION_LAYERS, regions),
    )


_BETA_ANSWERS = _fields(
    classifier_act="relu", classifier_dropout_prob=0.5, answer_position="pooled", answer_loss="bce", **_DROPOUT
)

VILBERT_BETA_HEADS = (
    TaskHead("vqa", "VisualQuestionAnswering", "vil_prediction", _BETA_LAYERS, _BETA_ANSWERS),
    *_logits("vil_logit", "vision_logit"),
    MASKED_WORDS,
)
"""`VILBertForVLTasks` and `BaseBertForVLTasks` of vilbert_beta, weight norms multiplied out."""

_MULTI_TASK = (
    TaskHead("vqa", "VisualQuestionAnswering", "vil_prediction", _LAYERS, _ANSWERS),
    TaskHead("gqa", "VisualQuestionAnswering", "vil_prediction_gqa", _LAYERS, _ANSWERS),
    TaskHead("nlvr2", "SequenceClassification", "vil_binary_prediction", _LAYERS, _NLVR2),
    TaskHead("snli_ve", "SequenceClassification", "vil_tri_prediction", _LINEAR, _SNLI_VE),
    *_logits("vil_logit", "vision_logit"),
)


def _twelve_in_one() -> SharedTrunk:
    """The tasks of 12-in-1, numbered as in `vilbert_tasks.yml`: the number is the row of the task token."""
    heads = {head.task: head for head in _MULTI_TASK if head.task != "vcr"}
    heads["retrieval_coco"], heads["refcoco"] = heads.pop("retrieval"), heads.pop("referring_expressions")
    answers, captions = {"kind": "question_answering"}, {"kind": "retrieval"}
    classes, expressions = {"kind": "classification"}, {"kind": "referring_expressions"}
    tasks = {
        "vqa": {**answers, "task_id": 1},
        "genome_qa": {**answers, "task_id": 2, "head": "vqa"},
        "visual7w": {**expressions, "task_id": 4, "head": "refcoco"},
        "retrieval_coco": {**captions, "task_id": 7},
        "retrieval_flickr30k": {**captions, "task_id": 8, "head": "retrieval_coco"},
        "refcoco": {**expressions, "task_id": 9},
        "refcoco_plus": {**expressions, "task_id": 10, "head": "refcoco"},
        "refcocog": {**expressions, "task_id": 11, "head": "refcoco"},
        "nlvr2": {**classes, "task_id": 12},
        "snli_ve": {**classes, "task_id": 13},
        "gqa": {**answers, "task_id": 15},
        "guesswhat_pointing": {**expressions, "task_id": 17, "head": "refcoco"},
    }
    return SharedTrunk.of("multi_task", heads, tasks)


VILBERT_MULTI_TASK_HEADS = (*_MULTI_TASK, _twelve_in_one(), MASKED_WORDS)
"""`VILBertForVLTasks` of vilbert-multi-task. As one model it does the twelve tasks that 12-in-1 was trained on; VCR is
not among them."""


def _volta_regions(original: OriginalConfig) -> dict[str, Any]:
    return {**_DROPOUT, "classifier_dropout_prob": original.take("v_attention_probs_dropout_prob", 0.1)}


_CLFS = rf"clfs_dict\.{ENTRY}"

VOLTA_HEADS = (
    TaskHead("vqa", "VisualQuestionAnswering", _CLFS, _LAYERS, _ANSWERS),
    TaskHead("gqa", "VisualQuestionAnswering", _CLFS, _LAYERS, _ANSWERS),
    TaskHead("nlvr2", "SequenceClassification", _CLFS, _LAYERS, _NLVR2),
    TaskHead("snli_ve", "SequenceClassification", _CLFS, _LINEAR, _SNLI_VE),
    *_logits(_CLFS, _CLFS, _volta_regions),
    MASKED_WORDS,
)
"""`BertForVLTasks` of VOLTA, which names its heads after the keys of its task file."""


def _mmf_answers(original: OriginalConfig) -> dict[str, Any]:
    place = "mask" if original.take("pooler_strategy", "default") == "vqa" else "pooled"
    return {**_mmf_classes(original), "answer_position": place, "answer_loss": "bce"}


def _mmf_classes(original: OriginalConfig) -> dict[str, Any]:
    return {"classifier_act": original.take("hidden_act", "gelu")}


def _mmf_image_pairs(original: OriginalConfig) -> dict[str, Any]:
    return {**_mmf_classes(original), **_NLVR2(original)}


MMF_HEADS = (
    TaskHead("vqa", "VisualQuestionAnswering", "classifier", _MMF_LAYERS, _mmf_answers),
    TaskHead("classification", "SequenceClassification", "classifier", _MMF_LAYERS, _mmf_classes),
    TaskHead("nlvr2", "SequenceClassification", "classifier", _MMF_LAYERS, _mmf_image_pairs),
    MASKED_WORDS,
)
"""`ViLBERTForClassification` and `VisualBERTForClassification` of MMF."""


def visualbert_heads(classifier: str, attention: str) -> tuple[TaskHead, ...]:
    """Heads of uclanlp, which transformers took over under other names.

    Args:
        classifier: Stem of the classifier.
        attention: Stem of the attention of phrases over regions.

    Returns:
        The heads.
    """
    answers = _fields(answer_position="mask", answer_loss="kl")
    image_pairs = _fields(_NLVR2_LABELS, num_images=2, image_pair_method="sequence")
    return (
        TaskHead("vqa", "VisualQuestionAnswering", classifier, _LINEAR, answers),
        TaskHead("nlvr2", "SequenceClassification", classifier, _LINEAR, image_pairs),
        TaskHead("vcr", "MultipleChoice", classifier, _LINEAR),
        TaskHead("phrase_grounding", "PhraseGrounding", attention, _ATTENTION),
        MASKED_WORDS,
    )
