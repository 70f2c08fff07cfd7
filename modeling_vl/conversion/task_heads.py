"""Heads of fine-tuned checkpoints, by the names that the code bases give them.

The pre-training classes have no place for them, so they are dropped by name. A class that has a head takes its rules
from here: a rename in front of these rules wins.
"""

from __future__ import annotations

from .renaming import drop

_REASON = "the head of a fine-tuned task; the pre-training classes have none"

VILBERT_TASK_HEADS = (
    drop(r"vil_(?:prediction|prediction_gqa|binary_prediction|tri_prediction|logit)\..+", _REASON),
    drop(r"(?:vision|linguisic)_logit\..+", _REASON),
)
"""`VILBertForVLTasks` of vilbert_beta and vilbert-multi-task."""

VOLTA_TASK_HEADS = (
    drop(r"clfs_dict\..+", _REASON),
    drop(r"cls\.qaPredictions\..+", "the answer head of LXMERT-style pre-training, which these models do not have"),
)
"""`BertForVLTasks` of VOLTA."""

MMF_TASK_HEADS = (drop(r"classifier\..+", _REASON),)
"""`ViLBERTForClassification` and `VisualBERTForClassification` of MMF."""

UCLANLP_TASK_HEADS = (
    drop(r"classifier\..+", _REASON),
    drop(r"flickr_attention\..+", _REASON),
    drop(r"detector\..+", "the image network of VCR models; regions come with features here"),
)
"""VQA, NLVR2, VCR and Flickr30k checkpoints of uclanlp."""

TRANSFORMERS_TASK_HEADS = (
    drop(r"cls\.(?:weight|bias)", _REASON),
    drop(r"attention\.(?:query|key|value)\..+", _REASON),
)
"""`VisualBertForQuestionAnswering` and its siblings of transformers."""
