"""What docs/migration says of names and conventions is what the converters do."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import modeling_vl
from configuration_vl import ViLBertConfig, VisualBertConfig
from modeling_vl.conversion import CODE_BASES
from modeling_vl.conversion.uclanlp import MODEL_FIELDS
from modeling_vl.conversion.vilbert_names import (
    COATTENTION_FIELDS,
    OPTIONAL_FIELDS,
    REGION_TARGET_NAMES,
    VISUAL_FIELDS,
)
from modeling_vl.conversion.volta import REGION_TARGET_NAMES as VOLTA_TARGET_NAMES
from modeling_vl.model_inputs import ModelInputs
from modeling_vl.outputs import PreTrainingOutput, TaskOutput, ViLBertModelOutput
from tests.documents import DOCS, name, quoted, section, table_rows
from tests.golden import vilbert_outputs, visualbert_outputs, volta_outputs
from tests.modeling_vl.conversion.small_checkpoints import NAMES, checkpoint, code_base_name, convert_small

MIGRATION = DOCS / "migration"
CONFIG_FIELDS = {field.name for config in (ViLBertConfig, VisualBertConfig) for field in fields(config)}
LABELS = {
    "labels",
    "sentence_image_labels",
    "region_labels",
    "region_class_probs",
    "region_features",
    "object_ids",
    "object_scores",
    "attribute_ids",
    "attribute_scores",
    "phrase_positions",
}
OUTPUTS = {field.name for output in (ViLBertModelOutput, PreTrainingOutput, TaskOutput) for field in fields(output)}


def names(page: str, title: str) -> dict[str, list[str]]:
    """Left and right of the tables of a section, what is quoted there; several on the left are one entry."""
    return {", ".join(quoted(row[0])): quoted(row[-1]) for row in table_rows(section(MIGRATION / page, title))}


def first(table: dict[str, list[str]]) -> dict[str, str]:
    return {theirs: ours[0] for theirs, ours in table.items() if ours}


def test_conventions() -> None:
    rows = {
        row[0].strip("`"): row[1:] for row in table_rows(section(DOCS / "migration.md", "Conventions that differ"))
    }
    assert set(rows) == {"here", *CODE_BASES} - {"vilbert_beta_base"}
    for kind in NAMES:
        if kind == "vilbert_beta_base":
            continue
        match, token_type, place, _ = rows[code_base_name(kind)]
        config, state = checkpoint(kind)
        converted = convert_small(kind, config, state).config
        if match != "no alignment loss":
            assert int(match) == CODE_BASES[code_base_name(kind)].match_row, kind
        if isinstance(converted, VisualBertConfig):
            assert int(token_type) == converted.visual_token_type_id, kind
        assert (converted.global_region or "none") in re.split(", | or ", place), kind
    assert rows["here"][1] == f"`visual_token_type_id`, {VisualBertConfig().visual_token_type_id} by default"


@pytest.mark.parametrize(
    ("page", "proven"),
    [
        ("vilbert_multi_task.md", vilbert_outputs.INPUTS),
        ("volta.md", {**vilbert_outputs.INPUTS, **volta_outputs.REGION_INPUTS}),
        (
            "mmf.md",
            {key: ours for key, ours in vilbert_outputs.MMF_INPUTS.items() if key not in ("bbox", "image_mask")},
        ),
    ],
)
def test_inputs_are_those_that_parity_is_proven_with(page: str, proven: dict[str, str]) -> None:
    table = first(names(page, "Inputs"))
    assert {theirs: table.get(theirs) for theirs in proven} == proven
    known = {field.name for field in fields(ModelInputs)} | LABELS
    assert set(table.values()) - known == set()


def test_inputs_of_uclanlp() -> None:
    table = first(names("transformers.md", "uclanlp's own code"))
    proven = {key: ours for key, ours in visualbert_outputs.INPUTS["uclanlp"].items() if key != "image_mask"}
    assert {theirs: table.get(theirs) for theirs in proven} == proven


@pytest.mark.parametrize("page", ["vilbert_multi_task.md", "volta.md", "mmf.md"])
def test_outputs_and_classes_exist(page: str) -> None:
    text = section(MIGRATION / page, "Outputs")
    for row in table_rows(text):
        for ours in quoted(row[-1]):
            known = ours in OUTPUTS or ours in CONFIG_FIELDS or hasattr(modeling_vl, ours)
            assert known, f"{page}: {ours} is no output, field or class"


def test_config_fields_of_vilbert() -> None:
    table = names("vilbert_multi_task.md", "Config")
    renamed = {**VISUAL_FIELDS, **COATTENTION_FIELDS, **OPTIONAL_FIELDS}
    assert {theirs: table[theirs] for theirs in renamed} == {theirs: [ours] for theirs, ours in renamed.items()}
    assert table["visual_target"] == ["region_targets", *REGION_TARGET_NAMES.values()]


def test_config_fields_of_the_others() -> None:
    volta = names("volta.md", "Config")
    targets = {theirs: ours for theirs, ours in first(volta).items() if theirs.isdecimal()}
    assert targets == VOLTA_TARGET_NAMES
    fields_of_ours = {ours for theirs, right in volta.items() if not theirs.isdecimal() for ours in right}
    assert fields_of_ours - CONFIG_FIELDS == set()
    config, _ = checkpoint("volta_vilbert")
    optional = {"fusion_act", "image_head_ln", "layer_norm_eps"}
    assert {key for theirs in volta if not theirs.isdecimal() for key in theirs.split(", ")} - set(config) <= optional
    mmf = first(names("mmf.md", "Config"))
    assert mmf == {key: ours for key, ours in MODEL_FIELDS.items() if key != "visual_token_type_id"}


@pytest.mark.parametrize("page", sorted(MIGRATION.glob("*.md")), ids=name)
def test_tasks_are_those_of_the_converter(page: Path) -> None:
    """A row that names a task of `--task` names the class that holds the head."""
    code_bases = {"mmf.md": "mmf", "transformers.md": "transformers", "vilbert_multi_task.md": "vilbert_multi_task"}
    rows = [row for row in table_rows(page.read_text(encoding="utf-8")) if len(row) >= 3 and quoted(row[1])]
    if page.name not in code_bases:
        assert rows == []
        return
    heads = {head.task: head.model for head in CODE_BASES[code_bases[page.name]].heads}
    assert rows
    for row in rows:
        (task,), ours = quoted(row[1]), quoted(row[2])[0]
        assert re.search(rf"For{heads[task]}$", ours), f"{name(page)}: {task} is {heads[task]}, not {ours}"
