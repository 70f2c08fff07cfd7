"""What a saved config or processor says of its classes, and which files it brings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers import AutoModel

from configuration_vl import ViLBertConfig, VisualBertConfig, hub_code
from configuration_vl.hub_files import MARK
from modeling_vl import ViLBertForPreTraining, ViLBertModel
from tests.import_checks import travelling_files
from tests.tiny_models import tiny_model, vilbert_config
from tests.tiny_processor import tiny_processor
from tests.tiny_tasks import both, task_model

ROOT = Path(__file__).resolve().parents[2]
CONFIG_FILES = {
    *("configuration_checks.py", "configuration_task_heads.py", "configuration_vilbert.py"),
    *("configuration_vision_language.py", "hub_code.py", "hub_files.py", "region_conventions.py", "region_targets.py"),
}
NEVER = {"collators.py", "task_collators.py", "retrieval_collator.py", "masking.py", "retrieval.py", "auto_vl.py"}
"""Files that may travel by where they lie, but that no model needs."""


def saved(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def python_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.py")}


@both
def test_a_folder_names_every_class_that_an_auto_class_of_transformers_can_name(model: str, tmp_path: Path) -> None:
    config = vilbert_config() if model == "ViLBert" else VisualBertConfig()
    config.save_pretrained(tmp_path)
    auto_map = saved(tmp_path)["auto_map"]
    autos = transformers.models.auto
    named = {name: getattr(autos, name) for name in dir(autos) if name.startswith("AutoModel")}
    expected = {
        name: auto._model_mapping[type(config)].__name__
        for name, auto in named.items()
        if type(config) in (getattr(auto, "_model_mapping", None) or ())
    }
    assert expected["AutoModel"] == f"{model}Model" and len(expected) == 8
    assert {name: value.partition(".")[2] for name, value in auto_map.items()} == {
        "AutoConfig": f"{model}Config",
        **expected,
    }
    assert {f"{value.partition('.')[0]}.py" for value in auto_map.values()} <= python_files(tmp_path)


@both
def test_classes_without_one_are_named_in_folders_of_their_own(model: str, tmp_path: Path) -> None:
    names = ("ImageTextRetrieval", "PhraseGrounding")
    for task in names:
        task_model(model, task).save_pretrained(tmp_path / task)
        assert saved(tmp_path / task)["auto_map"][f"AutoModelFor{task}"].endswith(f".{model}For{task}")
    assert python_files(tmp_path / "PhraseGrounding") - python_files(tmp_path / "ImageTextRetrieval") == {
        "phrase_grounding.py"
    }


def test_only_files_that_are_needed_travel(tmp_path: Path) -> None:
    model = task_model("ViLBert", "VisualQuestionAnswering")
    model.save_pretrained(tmp_path / "model")
    tiny_processor(model.config).save_pretrained(tmp_path / "processor")
    may_travel = {path.name for path in travelling_files(ROOT)}
    files = python_files(tmp_path / "model") | python_files(tmp_path / "processor")
    assert files <= may_travel - NEVER - {"phrase_grounding.py", "modeling_multi_task.py", "released.py"}
    of_processor = python_files(tmp_path / "processor")
    assert {"processing_regions.py", "feature_extraction_regions.py", "region_features.py"} <= of_processor
    assert not [name for name in of_processor if name.startswith(("modeling_", "configuration_"))]
    assert "processing_regions.py" not in python_files(tmp_path / "model")
    for path in tmp_path.rglob("*.py"):
        text = path.read_text()
        assert text.startswith(MARK)
        assert "from configuration_vl" not in text and "from processing_vl" not in text


def test_loading_forgets_what_saving_writes(tmp_path: Path) -> None:
    model = task_model("ViLBert", "VisualQuestionAnswering")
    before = dict(vars(model.config))
    model.save_pretrained(tmp_path)
    model.config.save_pretrained(tmp_path / "config")
    by_transformers = {"architectures": ["ViLBertForVisualQuestionAnswering"], "dtype": "float32"}
    assert {**before, **by_transformers} == vars(model.config)
    assert list(saved(tmp_path)["custom_pipelines"]) == ["region-visual-question-answering"]
    loaded = ViLBertConfig.from_pretrained(tmp_path)
    assert not hasattr(loaded, "auto_map") and not hasattr(loaded, "custom_pipelines")
    assert loaded.to_dict() == model.config.to_dict()
    assert saved(tmp_path / "config") == saved(tmp_path)


def test_a_config_read_without_the_models_keeps_what_its_folder_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_model("ViLBert", "VisualQuestionAnswering").save_pretrained(tmp_path)
    for registered in ("_model_classes", "_pipelines"):
        monkeypatch.setattr(hub_code, registered, {})  # as where only configuration_vl was imported
    ViLBertConfig.from_pretrained(tmp_path).save_pretrained(tmp_path / "again")
    assert saved(tmp_path / "again") == saved(tmp_path)
    assert python_files(tmp_path / "again") == CONFIG_FILES


def test_what_others_say_of_their_classes_stays(tmp_path: Path) -> None:
    config = ViLBertConfig(
        auto_map={"AutoTokenizer": ["theirs.Slow", None], "AutoModel": "old_file.ViLBertModel"},
        custom_pipelines={"theirs": {"impl": "theirs.Pipeline"}},
    )
    config.save_pretrained(tmp_path)
    written = saved(tmp_path)
    assert written["auto_map"]["AutoTokenizer"] == ["theirs.Slow", None]
    assert written["auto_map"]["AutoModel"] == "modeling_vilbert.ViLBertModel"
    assert written["custom_pipelines"] == {"theirs": {"impl": "theirs.Pipeline"}}


class OwnConfig(ViLBertConfig):
    """A config of somebody else."""


class OwnModel(ViLBertForPreTraining):
    """A model of somebody else."""


def test_classes_of_others_do_not_travel_unasked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    OwnConfig().save_pretrained(tmp_path / "config")
    assert "auto_map" not in saved(tmp_path / "config") and not python_files(tmp_path / "config")
    assert caplog.messages == []
    tiny_model(OwnModel).save_pretrained(tmp_path / "model")
    assert saved(tmp_path / "model")["auto_map"]["AutoModelForPreTraining"] == "modeling_vilbert.ViLBertForPreTraining"
    assert any("OwnModel: the saved folder does not carry its code" in message for message in caplog.messages)


def test_a_class_in_a_script_cannot_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnModel, "__module__", "__main__")
    with pytest.raises(ValueError, match="OwnModel is defined in a script or notebook"):
        hub_code.register_model_class(ViLBertConfig, AutoModel, OwnModel)
    assert hub_code._model_classes[ViLBertConfig][AutoModel] is ViLBertModel
