"""The one place that applies the rules of a code base to a checkpoint and accounts for every name in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

import modeling_vl
from configuration_vl import ViLBertConfig
from configuration_vl.configuration_vision_language import VisionLanguageConfig

from .original_config import OriginalConfig
from .report import Conversion, ConversionError, ConversionReport
from .rules import Rule, drop_copy
from .task_heads import (
    MASKED_LM,
    PRETRAINING,
    TaskHead,
    choose_head,
    drop_other_heads,
    drop_pretraining_heads,
)

DECODER = "cls.predictions.decoder.weight"
ALIGNMENT_HEAD = "cls.seq_relationship."
WRAPPERS = re.compile(r"(?:(?:module|model)\.)+")
"""What DataParallel and training frameworks put in front of every name."""

OLD_PARAMETER_NAMES = {".gamma": ".weight", ".beta": ".bias"}


class CodeBase(NamedTuple):
    """What is peculiar to one code base.

    Attributes:
        name: Its name for messages.
        read_config: Turns its config into ours, and keeps account of the keys.
        rules: Turns both configs into the rules for its names.
        heads: Heads of its fine-tuned checkpoints.
        base: Prefix of the base model's weights.
        match_row: Row of its alignment head that means "text and image match". Ours is 0.
        filled: Our names of weights that it has not, to the reason why zeros compute the same.
        notes: What every report shall say.
        weights_of_options: Options that its training script takes from the command line and writes into no config, to
            a regular expression of the weights that exist with the option only.
    """

    name: str
    read_config: Callable[[Mapping[str, Any]], tuple[VisionLanguageConfig, OriginalConfig]]
    rules: Callable[[VisionLanguageConfig, OriginalConfig], Iterable[Rule]]
    heads: Sequence[TaskHead]
    base: str = "bert."
    match_row: int = 0
    filled: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    weights_of_options: Mapping[str, str] = {}

    @property
    def tasks(self) -> list[str]:
        """Tasks whose head a conversion can keep."""
        return [head.task for head in self.heads]


def convert(
    code_base: CodeBase,
    values: Mapping[str, Any],
    state: Mapping[str, Tensor],
    match_row: int | None = None,
    *,
    task: str | None = None,
    entry: str | None = None,
    labels: Sequence[str] | None = None,
) -> Conversion:
    """Convert a checkpoint and account for every name in it.

    Args:
        code_base: Where the checkpoint comes from.
        values: The model's config as that code base takes it.
        state: The checkpoint's weights.
        match_row: Row of the checkpoint's alignment head that means a match, when it is not the code base's.
        task: The task whose head is kept, one of the code base's `heads`. None: the pre-training heads when the
            checkpoint has a vocabulary head, no head otherwise.
        entry: Which of the checkpoint's heads that is, where the code base keeps them under names of their own
            (VOLTA's "TASK1").
        labels: Names of the answers or classes in the order of the head's rows; code bases keep them in files beside
            the checkpoint.

    Returns:
        The converted checkpoint.

    Raises:
        ValueError: When the config is incomplete, or describes what our models are not; when there is no such task or
            head; when labels are given that are not as many as the head has rows.
        ConversionError: When a name is missing or unexpected, a shape differs, or supposed copies differ.
    """
    if task is None and (entry is not None or labels is not None):
        raise ValueError("an entry or labels belong to a task's head, but no task is given")
    shown = _options_shown(code_base, values, state)
    config, original = code_base.read_config({**values, **dict.fromkeys(shown, True)})
    notes = [f"{option}=True: the weights show it, the config does not say" for option in shown]
    report = ConversionReport(
        code_base.name, unused_config=original.unused, notes=[*code_base.notes, *original.notes, *notes]
    )
    base = code_base.base
    state = multiply_out_weight_norm(modernise_names(strip_wrappers(state, base, report)), report)
    chosen = None if task is None else choose_head(code_base.heads, task, entry, state, code_base.name)
    model = chosen.model if chosen else _model_without_task(state)
    model_class = class_for(config, model)
    report.architecture = model_class.__name__
    rules = [*drop_other_heads(code_base.heads, chosen), *code_base.rules(config, original)]
    if model in (PRETRAINING, MASKED_LM):
        rules.insert(0, _decoder_rule(state, config, f"{base}embeddings.word_embeddings.weight", report))
    if chosen is not None:
        rules = [*chosen.rules(), *drop_pretraining_heads(model, report.architecture), *rules]
    prefix = f"{model_class.base_model_prefix}." if model is None else ""
    converted = _apply(state, rules, prefix, report)
    if chosen is not None:
        _set_fields(config, chosen.config_fields(original, converted), labels)
    report.unknown_config = original.unknown
    if (code_base.match_row if match_row is None else match_row) == 1:
        swapped = [name for name in converted if name.startswith(ALIGNMENT_HEAD)]
        converted |= {name: converted[name].flip(0) for name in swapped}
        if swapped:
            report.notes.append("rows of the alignment head swapped: its row 1 meant a match, ours is row 0")
    _compare_with_model(converted, model_class, config, code_base.filled, report)
    report.raise_if_incomplete()
    return Conversion(config, converted, report)


def class_for(config: VisionLanguageConfig, model: str | None) -> type[PreTrainedModel]:
    """Our class of a kind.

    Args:
        config: Says which of the two models it is.
        model: What its name ends with after "For"; None for the model without a head.

    Returns:
        The class.
    """
    family = "ViLBert" if isinstance(config, ViLBertConfig) else "VisualBert"
    return getattr(modeling_vl, f"{family}Model" if model is None else f"{family}For{model}")


def _options_shown(code_base: CodeBase, values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Options on which the config is silent, and which weights of these names show to be on."""
    return [
        option
        for option, weights in code_base.weights_of_options.items()
        if option not in values and any(re.search(weights, name) for name in names)
    ]


def _model_without_task(state: Mapping[str, Tensor]) -> str | None:
    return PRETRAINING if any(name.startswith("cls.predictions.") for name in state) else None


def _set_fields(config: VisionLanguageConfig, fields: Mapping[str, Any], labels: Sequence[str] | None) -> None:
    for name, value in fields.items():
        setattr(config, name, value)
    if labels is not None:
        if "num_labels" not in fields:
            raise ValueError("labels are given, but this task has no head with a label a row")
        if len(labels) != config.num_labels:
            raise ValueError(f"{len(labels)} labels are given, but the head has {config.num_labels} rows")
        config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in config.id2label.items()}
    config.check_consistency()


def strip_wrappers(state: Mapping[str, Tensor], base: str, report: ConversionReport) -> dict[str, Tensor]:
    """Bring names to the form that rules are written for: `bert.*` for the base model, `cls.*` for its heads.

    Args:
        state: Weights by name as stored.
        base: Prefix of the base model in the code base.
        report: Notes what was stripped.

    Returns:
        The weights under their plain names.

    Raises:
        ConversionError: When two names become one.
    """
    plain = {name: WRAPPERS.sub("", name) for name in state}
    wrapped = [name for name in state if plain[name] != name]
    if wrapped:
        report.notes.append(f"stripped {WRAPPERS.match(wrapped[0])[0]!r} from {len(wrapped)} names")
    doubled = [name for name in wrapped if plain[name] in state]
    if doubled:
        raise ConversionError(
            f"the checkpoint holds {', '.join(doubled)} and the same names without what they begin with: keep one of "
            "the two sets of weights",
            report,
        )
    state = {plain[name]: tensor for name, tensor in state.items()}
    if any(name.startswith(base + base) for name in state):
        state = {name.removeprefix(base): tensor for name, tensor in state.items()}
        report.notes.append(f"stripped the outer {base!r}")
    elif not any(name.startswith(base) for name in state):
        state = {name if name.startswith("cls.") else base + name: tensor for name, tensor in state.items()}
        report.notes.append(f"read the names of a base model as if they began with {base!r}")
    return state


def modernise_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Layer norms of the first BERT releases call their weight gamma and their bias beta."""
    renamed = {}
    for name, tensor in state.items():
        old = next((old for old in OLD_PARAMETER_NAMES if name.endswith(old)), "")
        renamed[name.removesuffix(old) + OLD_PARAMETER_NAMES.get(old, "")] = tensor
    return renamed


def multiply_out_weight_norm(state: Mapping[str, Tensor], report: ConversionReport) -> dict[str, Tensor]:
    """Replace weight-normed parameters by their product, w = g * v / ||v||.

    A scalar g belongs to the norm of the whole matrix (`dim=None`, as vilbert_beta has it), one g a row to the norms
    of the rows.

    Args:
        state: Weights by name.
        report: Notes what was multiplied out.

    Returns:
        The weights, `weight` in place of `weight_g` and `weight_v`.
    """
    state = dict(state)
    for name in [name for name in state if name.endswith(".weight_g")]:
        stem = name.removesuffix("_g")
        if f"{stem}_v" not in state:
            continue
        g, v = state.pop(name), state.pop(f"{stem}_v")
        norm = v.norm() if g.numel() == 1 else v.flatten(1).norm(dim=1).view(-1, *[1] * (v.dim() - 1))
        state[stem] = (g if g.numel() == 1 else g.view_as(norm)) * v / norm
        report.notes.append(f"multiplied out the weight norm of {stem}")
    return state


def _decoder_rule(
    state: Mapping[str, Tensor], config: VisionLanguageConfig, embeddings: str, report: ConversionReport
) -> Rule:
    decoder, words = state.get(DECODER), state.get(embeddings)
    if config.tie_word_embeddings and decoder is not None and words is not None and not torch.equal(decoder, words):
        config.tie_word_embeddings = False
        report.notes.append("the vocabulary decoder differs from the word embeddings: tie_word_embeddings=False")
    pattern = re.escape(DECODER)
    return drop_copy(pattern, embeddings) if config.tie_word_embeddings else Rule(pattern, DECODER)


def _apply(
    state: Mapping[str, Tensor], rules: Iterable[Rule], stripped_prefix: str, report: ConversionReport
) -> dict[str, Tensor]:
    compiled = [(re.compile(rule.pattern), rule) for rule in rules]
    converted = {}
    for name, tensor in state.items():
        match, rule = next(
            ((match, rule) for regex, rule in compiled if (match := regex.fullmatch(name))), (None, None)
        )
        if match is None:
            report.unexpected.append(name)
        elif rule.target is None:
            if rule.copy_of is not None:
                _check_copy(state, name, match.expand(rule.copy_of), report)
            report.dropped[name] = match.expand(rule.reason)
        else:
            target = match.expand(rule.target).removeprefix(stripped_prefix)
            report.renamed[name] = target
            converted[target] = tensor
    return converted


def _check_copy(state: Mapping[str, Tensor], name: str, of: str, report: ConversionReport) -> None:
    if of not in state or not torch.equal(state[name], state[of]):
        raise ConversionError(
            f"{name} should be the same tensor as {of} in {report.code_base}, but "
            + ("the latter is missing" if of not in state else "their values differ"),
            report,
        )


def _compare_with_model(
    converted: dict[str, Tensor],
    model_class: type[PreTrainedModel],
    config: VisionLanguageConfig,
    filled: Mapping[str, str],
    report: ConversionReport,
) -> None:
    with torch.device("meta"):
        model = model_class(config)
    tied = model.all_tied_weights_keys if config.tie_word_embeddings else {}
    expected = {name: tensor.shape for name, tensor in model.state_dict().items() if name not in tied}
    sources = {target: name for name, target in report.renamed.items()}
    report.filled |= {name: reason for name, reason in filled.items() if name in expected and name not in converted}
    converted |= {name: torch.zeros(expected[name]) for name in report.filled}
    report.missing += [name for name in expected if name not in converted]
    for target in list(sources):
        if target not in expected:
            report.unexpected.append(sources[target])
            del report.renamed[sources[target]]
        elif converted[target].shape != expected[target]:
            report.mismatched[sources[target]] = (
                f"{list(converted[target].shape)} in the checkpoint, {list(expected[target])} by the config"
            )
