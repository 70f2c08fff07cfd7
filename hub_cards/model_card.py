"""The card of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from .asked import MODEL, PARITY, STARTED_FROM
from .fields import fill, licence_metadata, licence_text
from .model_folder import ModelFolder
from .model_tasks import image_code, loading_code, task_of
from .parity import parity_with
from .rendering import citations, render
from .scores import eval_results, read_measurements, table_lines

_MODELS = {
    "vilbert": ("ViLBERT (two streams that look at each other through co-attention)", "lu2019vilbert"),
    "visualbert": ("VisualBERT (one stream of words and regions)", "li2019visualbert"),
}
_CITED_CODE_BASES = {"vilbert-multi-task": "lu2020twelve", "volta": "bugliarello2021multimodal"}
BENCHMARK_CITATIONS = {
    "vqa": "goyal2017making",
    "gqa": "hudson2019gqa",
    "vcr_qa": "zellers2019recognition",
    "vcr_qar": "zellers2019recognition",
    "nlvr2": "suhr2019corpus",
    "snli_ve": "xie2019visual",
    "refcoco": "yu2016modeling",
    "refcoco+": "yu2016modeling",
    "refcocog": "yu2016modeling",
    "flickr30k_entities": "plummer2015flickr30k",
    "retrieval": "karpathy2015deep",
}
"""By name of the task: what introduced the benchmark, or for retrieval the split that is used."""


def model_card(folder: ModelFolder, name: str, given: Mapping[str, Any]) -> ModelCard:
    """Write the card of a model.

    Args:
        folder: The model.
        name: Hub id it shall have.
        given: What a person says, by name of the field.

    Returns:
        The card.

    Raises:
        UnfilledCard: Naming the fields that neither files nor `given` fill.
        FileNotFoundError: A file of scores is missing.
        ValueError: A file of scores holds something else.
    """
    left_out = STARTED_FROM if folder.conversion else PARITY
    fields = [field for field in MODEL if field is not left_out]
    values = fill(fields, known_of_model(folder), given, folder.path)
    measurements = read_measurements(values["scores"])
    config, task = folder.config, task_of(folder.architecture, folder.config)
    model, _ = _MODELS[config["model_type"]]
    data = ModelCardData(
        language=values["language"],
        **licence_metadata(values, "weights_license"),
        library_name="transformers",
        tags=[config["model_type"], "vision-language", "region-features", task.identifier],
        pipeline_tag=task.pipeline_tag,
        datasets=values["datasets"] or None,
        base_model=_base_model(values),
        model_name=name.rpartition("/")[2] if measurements else None,
        eval_results=eval_results(measurements, task.identifier) or None,
    )
    return render(
        ModelCard,
        "model.md",
        data,
        name=name.rpartition("/")[2],
        model=model,
        does=task.does,
        architecture=folder.architecture,
        parameters=folder.parameters,
        dtype=folder.dtype,
        feature_dim=config["visual_embedding_dim"],
        global_region=_global_region(config["global_region"]),
        max_length=config["max_position_embeddings"],
        values=values,
        weights_license=licence_text(values, "weights_license"),
        image_code=image_code(config["visual_embedding_dim"]),
        remote_code=loading_code(folder.architecture, name, with_package=False),
        package_code=loading_code(folder.architecture, name, with_package=True),
        pipeline=task.pipeline,
        hub_id=name,
        ask_code=f"{task.inputs}\n{task.ask}",
        conversion=folder.conversion,
        versions=", ".join(f"{key} {value}" for key, value in folder.run.versions.items()) if folder.run else "",
        arguments=folder.run_arguments,
        measurements=measurements,
        tables=["\n".join(table_lines(measurement)) for measurement in measurements],
        cites_benchmark=_benchmark(folder) is not None,
        citations=citations(_cited(folder)),
    )


def known_of_model(folder: ModelFolder) -> dict[str, Any]:
    """What the `folder` says of the fields of its card."""
    known: dict[str, Any] = {"started_from": folder.started_from}
    if regions := folder.regions:
        known |= {"detector": regions.detector, "box_policy": regions.box_policy}
    if run := folder.run:
        early = f" of {run.total_steps} that were planned" if run.total_steps > run.steps else ""
        unit = "iterations over its tasks" if folder.architecture.endswith("MultiTask") else "optimizer steps"
        size, rate = run.arguments.get("batch_size"), run.arguments.get("learning_rate")
        known |= {
            "training": f"{run.steps} {unit}{early}, batch size {size}, highest learning rate {rate}.",
            "hardware": f"{run.processes} process{'es' if run.processes > 1 else ''}, each on {run.hardware}",
            "code_commit": run.code_commit,
        }
    if conversion := folder.conversion:
        parity = parity_with(conversion.code_base, folder.config["model_type"])
        known |= {
            "training": "Trained by others; nothing was trained here.",
            "code_commit": conversion.code_commit,
            "parity": parity
            and f"{parity.files} recordings of {conversion.code_base} with random weights were converted in the same "
            f"way, and all their outputs computed again in float32: the largest absolute difference was "
            f"{parity.largest}. These weights themselves were not compared.",
        }
    return known


def _base_model(values: Mapping[str, Any]) -> str | None:
    """The Hub id that a training started from; words have spaces, or no owner."""
    started_from = values.get("started_from") or ""
    return started_from if "/" in started_from and " " not in started_from else None


def _global_region(place: str | None) -> str:
    if place is None:
        return "none, every region is a detection"
    return f"{place} row; where the data have none the processor adds it, the mean of the features"


def _cited(folder: ModelFolder) -> list[str]:
    keys = [_MODELS[folder.config["model_type"]][1]]
    if folder.architecture.endswith("MultiTask"):
        keys.append("lu2020twelve")
    if folder.conversion:
        keys.append(_CITED_CODE_BASES.get(folder.conversion.code_base, keys[0]))
    return [*keys, *filter(None, [_benchmark(folder)])]


def _benchmark(folder: ModelFolder) -> str | None:
    return BENCHMARK_CITATIONS.get(folder.run.arguments.get("task")) if folder.run else None
