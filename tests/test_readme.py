"""What README says of numbers, names and outputs is so."""

from __future__ import annotations

import re
import sys

import pytest

from configuration_vl import ViLBertConfig
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.readers import READERS
from examples import run_demo
from modeling_vl.conversion import CODE_BASES
from tests.documents import README, code_blocks, command_lines, script_call, section
from training_vl import parse_pretraining_arguments
from training_vl.data_setup import check_data_fit
from training_vl.model_setup import load_config


def test_the_demo_writes_where_the_quick_start_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run_demo.py"])
    folder = run_demo.parse_arguments().output
    read = set(re.findall(r'"(demo_output/[^"]*)"', section(README, "Quick start")))
    assert read == {str(folder / run_demo.MODELS["ViLBERT"]), str(run_demo.shards(folder, "val"))}


def test_features_without_class_probabilities_fit_the_pretraining_command() -> None:
    (command,) = (
        words
        for block in code_blocks(README, "bash")
        for words in command_lines(block)
        if "--config_overrides" in words
    )
    arguments = parse_pretraining_arguments(script_call(command)[1])
    features = RegionFeaturesMetadata(feature_dim=2048)
    check_data_fit(features, load_config(arguments.model), "train_obj36.tsv")
    with pytest.raises(ValueError, match="no class_probs"):
        check_data_fit(features, ViLBertConfig(), "train_obj36.tsv")


def test_code_bases_and_formats_are_named_as_the_scripts_want_them() -> None:
    text = section(README, "Original checkpoints")
    assert set(re.findall(r"`(\w+)`", text.partition("The converter")[0])) - {"visual_bert"} == set(CODE_BASES)
    formats = section(README, "Region features: from any public format to one").partition("Formats:")[2]
    assert set(re.findall(r"`(\w+)`", formats.partition("[")[0])) == set(READERS)
