"""Checkpoints of transformers' own `VisualBert*` classes (model type "visual_bert")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from configuration_vl.configuration_visualbert import NATIVE_MODEL_TYPE, VisualBertConfig

from .code_base_heads import visualbert_heads
from .original_config import OriginalConfig
from .renaming import CodeBase
from .rules import POSITION_IDS, TOKEN_HEAD, Rule
from .task_heads import TaskHead

NAME = "transformers visual_bert"

HOUSEKEEPING_KEYS = (
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "model_type",
    "problem_type",
    "torch_dtype",
    "transformers_version",
)


def config_from_transformers(values: Mapping[str, Any]) -> tuple[VisualBertConfig, OriginalConfig]:
    """Our configuration of a `config.json` of transformers' VisualBERT.

    What the file leaves out gets transformers' defaults, the visual token type 1 among them: see `VisualBertConfig`.

    Args:
        values: The config.

    Returns:
        Our configuration, and the config with what was asked of it.
    """
    original = OriginalConfig(values, NAME)
    known = {field.name: field.name for field in fields(VisualBertConfig)}
    original.leave(dict.fromkeys(HOUSEKEEPING_KEYS, "transformers' notes on the folder"))
    shared = original.take_fields({name: name for name in known if name not in original.unused}, required=False)
    return VisualBertConfig.from_dict({**shared, "model_type": NATIVE_MODEL_TYPE}), original


def _rules(config: VisualBertConfig, original: OriginalConfig) -> list[Rule]:
    return [
        POSITION_IDS,
        Rule(r"(visual_bert\..+)", r"\1"),
        *TOKEN_HEAD,
        Rule(r"(cls\.seq_relationship\.(?:weight|bias))", r"\1"),
    ]


def _with_names_of_labels(head: TaskHead) -> TaskHead:
    """The head whose labels are called what the folder's config calls them."""

    def read(original: OriginalConfig) -> dict[str, Any]:
        names = {int(number): name for number, name in (original.take("id2label", None) or {}).items()}
        are_names = any(name != f"LABEL_{number}" for number, name in names.items())
        return head.fields(original) | ({"id2label": names} if are_names else {})

    return replace(head, fields=read)


# The names of pre-training heads begin with "cls." too.
TASK_HEADS = tuple(
    map(_with_names_of_labels, visualbert_heads(classifier=r"cls(?=\.(?:weight|bias)$)", attention="attention"))
)
"""`VisualBertForQuestionAnswering`, `...VisualReasoning`, `...MultipleChoice`, `...RegionToPhraseAlignment`."""

TRANSFORMERS_VISUAL_BERT = CodeBase(NAME, config_from_transformers, _rules, TASK_HEADS, base="visual_bert.")
"""transformers documents row 0 of the alignment head as the match. The released `uclanlp/visualbert-*` folders were
made without swapping uclanlp's rows: convert them with `match_row=1`, and `visual_token_type_id` 0 in the config."""
