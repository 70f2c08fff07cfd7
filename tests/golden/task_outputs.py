"""Outputs of task heads in vilbert_beta, vilbert-multi-task and VOLTA, by the names the golden files give them.

These code bases compute every head for every row of a batch. Ours are asked as their tasks ask: the rows of a batch
are the choices of one question, the candidates of one caption, or two by two the images of a statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_utils import PreTrainedModel

from modeling_vl.model_inputs import ModelInputs, Reading
from modeling_vl.outputs import TaskOutput
from modeling_vl.task_models import Task
from tests.golden.harness import Case, Ours, base_model, by_rules
from tests.golden.vilbert_outputs import INPUTS, main_outputs, masks
from tests.golden.visualbert_outputs import state_rules

NOT_COMPARED = {
    r"(\w+\.)?linguisic_logit": (
        "a score for each word piece, which no task of the code base reads and no class of ours has"
    ),
    r"losses\.VL-(tri|binary).*": (
        "a binary cross-entropy over classes of which one is right; ours is the cross-entropy, and the logits are "
        "compared"
    ),
}

TASKS_OF_OUTPUT = {
    "vil_prediction": ("vqa",),
    "vil_prediction_gqa": ("gqa",),
    "vil_tri_prediction": ("snli_ve",),
    "vil_logit": ("vcr", "retrieval"),
    "vision_logit": ("referring_expressions",),
}
TASKS_OF_VOLTA_TYPE = {
    "VL-classifier": ("vqa",),
    "VL-classifier-GQA": ("gqa",),
    "VL-binary-classifier": ("nlvr2",),
    "VL-tri-classifier": ("snli_ve",),
    "VL-logit": ("vcr", "retrieval"),
    "V-logit": ("referring_expressions",),
}
LOSSES = {
    "vqa": (r"losses\.VL[-_]classifier(_bce)?", "vqa_target"),
    "gqa": (r"losses\.VL-classifier-GQA", "gqa_target"),
    "vcr": (r"losses\.VL[-_]logit.*", "option_target"),
    "retrieval": (r"losses\.VL[-_]logit.*", "option_target"),
    "referring_expressions": (r"losses\.V[-_]logit.*", "refcoco_target"),
}


IN_MULTI_TASK = {
    "vqa": "vqa",
    "gqa": "gqa",
    "snli_ve": "snli_ve",
    "nlvr2": "nlvr2",
    "retrieval": "retrieval_coco",
    "referring_expressions": "refcoco",
}
"""Our multi-task model's names for the tasks with a head."""


class Question(NamedTuple):
    """What a stored output asks of us.

    Attributes:
        output: Its name.
        task: Name of a conversion's task.
        prefix: What the names of its inputs begin with.
        entry: Under which name VOLTA keeps the head.
    """

    output: str
    task: str
    prefix: str = ""
    entry: str | None = None


def task_outputs(case: Case) -> Iterator[tuple[str, Ours]]:
    """Every stored output of a `VILBertForVLTasks`, `BaseBertForVLTasks` or `BertForVLTasks` file.

    Args:
        case: File, backend and layout.

    Yields:
        Name of the stored output, and our number.
    """
    for prefix in input_sets(case):
        yield from _trunk_outputs(case, prefix)
    models: dict[tuple[str, str | None], PreTrainedModel] = {}
    has_loss = set()
    many = case.model("multi_task") if case.golden.code_base == "vilbert_multi_task" else None
    for question in _questions(case):
        key = question.task, question.entry
        if key not in models:
            models[key] = case.model(*key)
        model = models[key]
        inputs = rows_of(case, question.prefix)
        target = None
        if not question.prefix and question.task not in has_loss and not _asks_one_by_one(question.task, inputs):
            target = _target(case, question.task)
        output = _ask(model, question.task, inputs, target)
        by = type(model).__name__
        stored = case.outputs[question.output]
        yield question.output, _logits(question.task, output.logits, inputs, stored, by)
        if many is not None and question.task in IN_MULTI_TASK:
            logits = _ask_multi_task(many, question.task, inputs)
            yield question.output, _logits(question.task, logits, inputs, stored, type(many).__name__)
        if target is not None:
            has_loss.add(question.task)
            pattern, _ = LOSSES[question.task]
            # The code bases multiply a mean over answers or regions by their number, and so do we.
            loss = Ours("loss", output.loss, by=by, summands=target.shape[1] if target.dim() == 2 else 1)
            yield from ((name, loss) for name in case.outputs if re.fullmatch(pattern, name))


def input_sets(case: Case) -> list[str]:
    """What the names of each set of inputs begin with."""
    return [name.removesuffix("input_ids") for name in case.inputs if name.endswith("input_ids")]


def rows_of(case: Case, prefix: str) -> dict[str, Tensor]:
    """Our arguments of one set of inputs."""
    rows = {ours: case.inputs[prefix + name] for name, ours in INPUTS.items()}
    if getattr(case.plain.config, "num_task_tokens", 0):
        rows["task_ids"] = case.inputs[f"{prefix}task_ids"].flatten()
    return rows


def _questions(case: Case) -> Iterator[Question]:
    for prefix in input_sets(case):
        for output, tasks in TASKS_OF_OUTPUT.items():
            if prefix + output in case.outputs:
                yield from (Question(prefix + output, task, prefix) for task in tasks)
        if prefix + "vil_binary_prediction" in case.outputs and judges_pairs(case, prefix):
            yield Question(prefix + "vil_binary_prediction", "nlvr2", prefix)
    even = next((prefix for prefix in input_sets(case) if len(case.inputs[f"{prefix}input_ids"]) % 2 == 0), "")
    for output in sorted(case.outputs):
        entry, _, kind = output.partition(".")
        for task in TASKS_OF_VOLTA_TYPE.get(kind, ()) if entry != "losses" else ():
            yield Question(output, task, even if task == "nlvr2" else "", entry)


def judges_pairs(case: Case, prefix: str) -> bool:
    """Whether `vil_binary_prediction` is about two images: in vilbert-multi-task whenever the batch is even."""
    has_head = any(name.startswith("vil_binary_prediction.") for name in case.golden.weights)
    return has_head and len(case.inputs[f"{prefix}input_ids"]) % 2 == 0


def _target(case: Case, task: str) -> Tensor | None:
    pattern, name = LOSSES.get(task, ("", ""))
    if not pattern or not any(re.fullmatch(pattern, output) for output in case.outputs):
        return None
    if name == "option_target":
        return case.inputs.get(name, torch.zeros(1, dtype=torch.long))
    return case.inputs[name].flatten(1)


def _ask(model: Callable[..., TaskOutput], task: str, rows: Mapping[str, Tensor], labels: Tensor | None) -> TaskOutput:
    if _asks_one_by_one(task, rows):
        return model(**{name: value if name == "task_ids" else value[:, None] for name, value in rows.items()})
    if task == "vcr":
        return model(**{name: value[None] for name, value in rows.items()}, labels=labels)
    if task == "retrieval":
        pairs = torch.arange(len(rows["input_ids"]))[None, :, None].expand(-1, -1, 2)
        return model(**rows, pair_index=pairs, labels=labels)
    if task == "nlvr2":
        return judge_pairs(model.task, model.cls, model.read, rows)
    return model(**rows, labels=labels)


def _asks_one_by_one(task: str, rows: Mapping[str, Tensor]) -> bool:
    """The choices of one question have one task token, but rows of a golden file may have one each."""
    return task == "vcr" and "task_ids" in rows


def _ask_multi_task(model: PreTrainedModel, task: str, rows: Mapping[str, Tensor]) -> Tensor:
    """Logits of one task. Its task token is in the config, but rows of a golden file may have one each."""
    name = IN_MULTI_TASK[task]
    if task == "nlvr2":
        return judge_pairs(model.tasks[name], model.cls[name], model.read, rows).logits
    tokens = rows.get("task_ids")
    given = {key: value for key, value in rows.items() if key != "task_ids"}
    if tokens is None:
        return _ask(partial(model, task=name), task, given, None).logits
    logits = []
    for row, token in enumerate(tokens.tolist()):
        model.config.multi_task_heads[name]["task_id"] = token
        one = {key: value[row : row + 1] for key, value in given.items()}
        logits.append(_ask(partial(model, task=name), task, one, None).logits)
    return torch.cat(logits)


def judge_pairs(
    task: Task, head: nn.Module, read: Callable[[ModelInputs], Reading], rows: Mapping[str, Tensor]
) -> TaskOutput:
    """Take rows two by two as the images of one statement, each read with the text of its own row.

    Our classes read both images with the same text; the rows of a golden file have different ones.
    """
    pairs = ModelInputs(
        input_ids=rows["input_ids"][::2],
        visual_embeds=rows["visual_embeds"].unflatten(0, (-1, 2)),
    )
    return task.run(lambda inputs, places: read(ModelInputs(**rows), places), head, pairs, None)


def _logits(task: str, logits: Tensor, rows: Mapping[str, Tensor], stored: Tensor, by: str) -> Ours:
    if task == "referring_expressions":
        return Ours("scores", logits, rows["visual_attention_mask"], by)
    # The choices of one question, and the candidates of one caption, are rows of the original.
    return Ours("logits", logits.view(stored.shape), by=by)


def _trunk_outputs(case: Case, prefix: str) -> Iterator[tuple[str, Ours]]:
    """States, pooled vectors and what the pre-training heads say."""
    rows = rows_of(case, prefix)
    base, text = base_model(case.plain), rows["input_ids"].shape[1]
    states = base(**rows, output_hidden_states=True)
    text_mask, visual_mask = masks(rows)
    if case.plain.config.model_type == "vilbert":
        yield from main_outputs(states, text_mask, visual_mask, prefix, set(case.outputs))
    else:
        joint = torch.cat((text_mask, visual_mask), dim=1)
        embedded = states.hidden_states[0]
        rules = {
            r"hook\.embeddings": lambda: Ours("states", embedded[:, :text], text_mask),
            r"hook\.image_embeddings": lambda: Ours("states", embedded[:, text:], visual_mask),
            **state_rules(case, text_mask, joint, states),
        }
        stored = {name: name.removeprefix(prefix) for name in case.outputs if name.startswith(prefix)}
        yield from by_rules(stored, rules)
    if case.plain is base:
        return
    output = case.plain(**rows, return_logits=True)
    words = output.prediction_logits[:, : text_mask.shape[1]]
    found = {
        "linguisic_prediction": Ours("logits", words, text_mask),
        "vision_prediction": Ours("logits", next(iter(output.region_logits.values())), visual_mask),
    }
    if not judges_pairs(case, prefix):
        found["vil_binary_prediction"] = Ours("pooled", output.seq_relationship_logits)
    yield from ((prefix + name, ours) for name, ours in found.items() if prefix + name in case.outputs)
