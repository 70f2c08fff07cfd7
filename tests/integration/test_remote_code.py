"""Saved folders load where none of our packages exist, with the same bits, and can be saved again there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, PreTrainedModel, pipeline

import modeling_vl
from configuration_vl import ViLBertConfig, hub_code
from tests.tiny_models import tiny_inputs, tiny_model
from tests.tiny_processor import IMAGES, TEXTS, tiny_processor
from tests.tiny_tasks import MODELS, TASK_FIELDS, task_inputs, task_model

SCRIPT = Path(__file__).with_name("load_remotely.py")
WITH_PIPELINES = ("QuestionAnswering", "Retrieval", "RegionGrounding")
HEADS = {
    "vqa": {"kind": "question_answering", "num_labels": 5},
    "refcoco": {"kind": "referring_expressions"},
}
REFERENCES = {
    "ImageTextRetrieval": "image_text_retrieval",
    "RegionGrounding": "region_grounding",
    "PhraseGrounding": "phrase_grounding",
    "MultiTask": "modeling_multi_task",
}
"""Files of the classes that no Auto class of transformers is meant for."""


def every_model(kind: str) -> list[tuple[PreTrainedModel, dict[str, Any], dict[str, Any]]]:
    """A model of each class, its inputs, and what else it is called with."""
    multi_task = tiny_model(getattr(modeling_vl, f"{kind}ForMultiTask"), multi_task_heads=HEADS)
    return [
        (tiny_model(getattr(modeling_vl, f"{kind}Model")), tiny_inputs(), {}),
        (tiny_model(getattr(modeling_vl, f"{kind}ForPreTraining")), tiny_inputs(), {}),
        (multi_task, tiny_inputs(), {"task": "refcoco"}),
        *((task_model(kind, task), task_inputs(task), {}) for task in TASK_FIELDS),
    ]


def save(folder: Path, model: PreTrainedModel, inputs: dict[str, Any], options: dict[str, Any]) -> None:
    """The folder of a model, with what `load_remotely.py` reads."""
    name = type(model).__name__
    suffix = name.partition("For")[2]
    model.save_pretrained(folder)
    job = {"class": name, "options": options}
    if suffix in REFERENCES:
        job["reference"] = f"{REFERENCES[suffix]}.{name}"
    else:
        job["auto_class"] = f"AutoModelFor{suffix}" if suffix else "AutoModel"
    (folder / "job.json").write_text(json.dumps(job))
    torch.save(inputs, folder / "inputs.pt")
    with torch.no_grad():
        outputs = model(**inputs, **options)
    torch.save(
        {key: value for key, value in outputs.items() if isinstance(value, torch.Tensor)}, folder / "outputs.pt"
    )


def save_processor(folder: Path, model: PreTrainedModel) -> None:
    """A processor beside the model, with texts, images and what it makes of them, and what a pipeline does."""
    processor = tiny_processor(model.config)
    processor.save_pretrained(folder)
    regions = [
        {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in fields.items()}
        for fields in map(asdict, IMAGES)
    ]
    torch.save({"text": TEXTS, "regions": regions}, folder / "examples.pt")
    torch.save(dict(processor(text=TEXTS, regions=IMAGES)), folder / "encodings.pt")
    ((task, _),) = json.loads((folder / "config.json").read_text())["custom_pipelines"].items()
    pipe = pipeline(task, model=model, processor=processor, device="cpu", top_k=3)
    (folder / "results.json").write_text(json.dumps(pipe(text=TEXTS, regions=IMAGES, batch_size=2)))


def load_remotely(folder: Path, again: Path) -> list[str]:
    """Run `load_remotely.py` and return which folders were loaded and found equal."""
    again.mkdir()
    environment = {**os.environ, "HF_MODULES_CACHE": str(again / "modules"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-I", str(SCRIPT), str(folder), str(again / "folders")]
    done = subprocess.run(command, cwd=again, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


pytestmark = pytest.mark.usefixtures("one_thread")


OWN_MODEL = """
from modeling_vl.modeling_vilbert import ViLBertModel


class Doubled(ViLBertModel):
    def forward(self, input_ids, **inputs):
        outputs = super().forward(input_ids, **inputs)
        outputs.last_hidden_state = outputs.last_hidden_state * 2
        return outputs
"""


def own_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    """A model of a user's own class in a file of its own, registered for this test."""
    (folder / "own_models.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(folder)
    doubled = import_module("own_models").Doubled
    monkeypatch.setattr(hub_code, "_model_classes", {key: {**value} for key, value in hub_code._model_classes.items()})
    hub_code.register_model_class(ViLBertConfig, AutoModel, doubled)
    return tiny_model(doubled)


def test_every_class_loads_remotely_and_again_from_what_was_saved_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, first, second = (tmp_path / name for name in ("saved", "first", "second"))
    classes = set()
    for kind in MODELS:
        for model, inputs, options in every_model(kind):
            name = type(model).__name__
            save(saved / name, model, inputs, options)
            if name.endswith(WITH_PIPELINES):
                save_processor(saved / name, model)
            classes.add(name)
    assert classes == {name for name in modeling_vl.__all__ if name.startswith(tuple(MODELS)) and "Config" not in name}
    save(saved / "Doubled", own_model(tmp_path, monkeypatch), tiny_inputs(), {})
    classes.add("Doubled")
    assert load_remotely(saved, first) == sorted(classes)
    assert load_remotely(first / "folders", second) == sorted(classes)
    for name in classes:
        was, now = saved / name, first / "folders" / name
        assert python_files(now) == python_files(was), name
        assert json.loads((now / "config.json").read_text()) == json.loads((was / "config.json").read_text()), name


def python_files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.py")}
