"""What each class of model is for, and the Python code that loads and asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import transformers

import modeling_vl


@dataclass(frozen=True, kw_only=True)
class ModelTask:
    """What a card says of a task.

    Attributes:
        does: What a model does, in words.
        identifier: The task, as metadata name it.
        pipeline_tag: The Hub's name for it; None where the Hub has none.
        inputs: Code that makes `inputs` of `processor`, `image` (and what it defines itself).
        ask: Code that asks `model`.
        pipeline: Name of the pipeline that takes a text and the regions of an image; None where there is none.
    """

    does: str
    identifier: str
    pipeline_tag: str | None = None
    inputs: str = 'inputs = processor(text="a dog on the grass", regions=image, return_tensors="pt")'
    ask: str
    pipeline: str | None = None


_TASK = "{task}"
"""Where the name of its task is given to a model of several."""
_QUESTION = 'inputs = processor(text="what is on the grass?", regions=image, return_tensors="pt")'
_ANSWERS = "print(model.predict({task}**inputs, top_k=3))"
_BEST = "print(model.predict({task}**inputs))"
_TWO_IMAGES = """\
inputs = processor(text="both images show a dog", return_tensors="pt")
pair = processor(regions=[image, image], return_tensors="pt")  # the left and the right image
inputs.update({name: value[None] for name, value in pair.items()})"""
_CHOICES = """\
question, choices = "what is on the grass?", ["a dog", "a cat", "a ball", "nothing"]
texts = processor(text=[question] * len(choices), text_pair=choices, return_tensors="pt")
inputs = {name: value[None] for name, value in texts.items()}
inputs.update(processor(regions=image, return_tensors="pt"))"""
_PHRASE = """\
inputs = processor(text="a dog", regions=image, return_tensors="pt")
inputs["phrase_positions"] = inputs["attention_mask"].sum(1, keepdim=True) - 2  # the last word piece of the phrase"""
_MASKED = """\
text = f"a {processor.tokenizer.mask_token} on the grass"
inputs = processor(text=text, regions=image, return_tensors="pt")"""

_KINDS = {
    "question_answering": ModelTask(
        does="answers questions about an image",
        identifier="visual-question-answering",
        pipeline_tag="visual-question-answering",
        inputs=_QUESTION,
        ask=_ANSWERS,
        pipeline="region-visual-question-answering",
    ),
    "multiple_choice": ModelTask(
        does="chooses the right one of several texts about an image",
        identifier="multiple-choice",
        inputs=_CHOICES,
        ask=_BEST,
    ),
    "classification": ModelTask(
        does="classifies statements about an image",
        identifier="visual-entailment",
        ask=_BEST,
    ),
    "classification of two images": ModelTask(
        does="classifies statements about two images",
        identifier="visual-reasoning",
        inputs=_TWO_IMAGES,
        ask=_BEST,
    ),
    "retrieval": ModelTask(
        does="scores texts against images",
        identifier="image-text-retrieval",
        ask=_BEST,
    ),
    "referring_expressions": ModelTask(
        does="finds the region that an expression refers to",
        identifier="region-grounding",
        inputs='inputs = processor(text="the dog on the left", regions=image, return_tensors="pt")',
        ask=_ANSWERS,
        pipeline="region-grounding",
    ),
    "phrase_grounding": ModelTask(
        does="finds the regions of a text's phrases",
        identifier="phrase-grounding",
        inputs=_PHRASE,
        ask=_ANSWERS,
    ),
}
"""By kind of task, as multi-task models name them."""

_SUFFIXES = {
    "VisualQuestionAnswering": "question_answering",
    "MultipleChoice": "multiple_choice",
    "SequenceClassification": "classification",
    "ImageTextRetrieval": "retrieval",
    "RegionGrounding": "referring_expressions",
    "PhraseGrounding": "phrase_grounding",
}

_OTHERS = {
    "PreTraining": ModelTask(
        does="has the heads of pre-training (masked words and regions, whether text and image belong together)",
        identifier="pre-training",
        ask="outputs = model(**inputs)\n"
        "print(outputs.seq_relationship_logits.softmax(-1)[:, 0])  # how likely text and image belong together",
    ),
    "MaskedLM": ModelTask(
        does="predicts masked words of a text about an image",
        identifier="fill-mask",
        inputs=_MASKED,
        ask="print(model.predict(mask_token_id=processor.tokenizer.mask_token_id, **inputs, top_k=3))",
    ),
    "": ModelTask(
        does="gives states of words and regions, without a head for a task",
        identifier="feature-extraction",
        ask="print(model(**inputs).last_hidden_state.shape)",
    ),
}


def architecture_of(config: Mapping[str, Any], place: str | Path) -> str:
    """The class of a saved model.

    Args:
        config: Its `config.json`.
        place: Its folder or Hub id, for the error.

    Returns:
        Name of the class.

    Raises:
        ValueError: If it is none of this package.
    """
    architecture = (config.get("architectures") or ["none"])[0]
    if architecture not in modeling_vl.__all__:
        raise ValueError(f"{place} holds a model of the class {architecture}, which is none of this package")
    return architecture


def task_of(architecture: str, config: Mapping[str, Any]) -> ModelTask:
    """What a model is for.

    Args:
        architecture: Its class.
        config: Its `config.json`.

    Returns:
        The task; that of its first head for a model of several tasks, with all of them in `does`.
    """
    suffix = architecture.partition("For")[2]
    if suffix == "MultiTask":
        return _several(config["multi_task_heads"], config)
    if suffix in _OTHERS:
        return _OTHERS[suffix]
    task = _of_kind(_SUFFIXES[suffix], config)
    return replace(task, ask=task.ask.replace(_TASK, ""))


def _of_kind(kind: str, config: Mapping[str, Any]) -> ModelTask:
    two_images = kind == "classification" and config.get("num_images", 1) == 2
    return _KINDS["classification of two images" if two_images else kind]


def _several(heads: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> ModelTask:
    names = sorted(heads)
    tasks = {name: _of_kind(heads[name]["kind"], {**config, **heads[name]}) for name in names}
    first = tasks[names[0]]
    return ModelTask(
        does="does several tasks: " + "; ".join(f"`{name}` {task.does}" for name, task in tasks.items()),
        identifier="multi-task",
        inputs=first.inputs,
        ask=first.ask.replace(_TASK, f'task="{names[0]}", '),
    )


def loading_code(architecture: str, name: str, *, with_package: bool) -> str:
    """Python code that loads a model and its processor as `model` and `processor`.

    Args:
        architecture: Class of the model.
        name: Hub id or folder.
        with_package: Whether this package is installed; without it the code in the model's repository is used.

    Returns:
        Lines of code.
    """
    task = architecture.partition("For")[2]
    auto_class = f"AutoModelFor{task}" if task else "AutoModel"
    theirs = auto_class in dir(transformers)
    from_transformers = f"from transformers import {auto_class}, AutoProcessor"
    processor = f'processor = AutoProcessor.from_pretrained("{name}"'
    if with_package:
        imports = f"from modeling_vl import {auto_class}\nfrom transformers import AutoProcessor"
        if theirs:
            imports = f"import modeling_vl  # the Auto classes know it now\n{from_transformers}"
        return f'{imports}\n\nmodel = {auto_class}.from_pretrained("{name}").eval()\n{processor})'
    trusted = f"{processor}, trust_remote_code=True)"
    if theirs:
        model = f'model = {auto_class}.from_pretrained("{name}", trust_remote_code=True).eval()'
        return f"{from_transformers}\n\n{model}\n{trusted}"
    return (
        "from transformers import AutoProcessor\n"
        "from transformers.dynamic_module_utils import get_class_from_dynamic_module\n\n"
        f'model_class = get_class_from_dynamic_module("{class_reference(architecture)}", "{name}")\n'
        f'model = model_class.from_pretrained("{name}").eval()\n{trusted}'
    )


def class_reference(architecture: str) -> str:
    """A class of this package as remote code names it: its file without folder and suffix, a point, its name."""
    return f"{getattr(modeling_vl, architecture).__module__.rpartition('.')[2]}.{architecture}"


def image_code(feature_dim: int) -> str:
    """Python code that makes an `image` of regions as both ways of loading take it.

    Args:
        feature_dim: Numbers the model wants of each region.

    Returns:
        Lines of code.
    """
    return f"""\
import numpy as np

image = {{
    "image_id": "photo",
    "width": 640,
    "height": 480,
    "boxes": np.array([[10, 20, 300, 400], [250, 180, 600, 470]], dtype=np.float32),  # x1 y1 x2 y2 in pixels
    "features": np.random.rand(2, {feature_dim}).astype(np.float32),  # in their place those of your detector
}}"""
