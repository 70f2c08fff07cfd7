"""Rules that turn the names of another code base into ours, and the one place that applies them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel

from configuration_vl import ViLBertConfig, VisualBertConfig
from configuration_vl.configuration_vision_language import VisionLanguageConfig

from ..modeling_vilbert import ViLBertForPreTraining, ViLBertModel
from ..modeling_visualbert import VisualBertForPreTraining, VisualBertModel
from .original_config import OriginalConfig
from .report import Conversion, ConversionError, ConversionReport

MODEL_CLASSES: dict[type[VisionLanguageConfig], tuple[type[PreTrainedModel], type[PreTrainedModel]]] = {
    ViLBertConfig: (ViLBertModel, ViLBertForPreTraining),
    VisualBertConfig: (VisualBertModel, VisualBertForPreTraining),
}
"""For each config the class without and the class with pre-training heads."""

DECODER = "cls.predictions.decoder.weight"
ALIGNMENT_HEAD = "cls.seq_relationship."
WRAPPERS = re.compile(r"(?:(?:module|model)\.)+")
"""What DataParallel and training frameworks put in front of every name."""

OLD_PARAMETER_NAMES = {".gamma": ".weight", ".beta": ".bias"}


class Rule(NamedTuple):
    r"""What becomes of the names that a pattern matches as a whole. The first rule that matches counts.

    Attributes:
        pattern: A regular expression.
        target: Name in our model, with the pattern's groups as `\1`. None when the weight is dropped.
        reason: Why a weight is dropped.
        copy_of: Name in the checkpoint that must hold the same values for the weight to be dropped.
    """

    pattern: str
    target: str | None = None
    reason: str | None = None
    copy_of: str | None = None


def drop(pattern: str, reason: str) -> Rule:
    """Make a rule for weights that our model does without.

    Args:
        pattern: A regular expression.
        reason: Why the model does without them.

    Returns:
        The rule.
    """
    return Rule(pattern, reason=reason)


def drop_copy(pattern: str, of: str) -> Rule:
    """Make a rule for a tensor that the code base stores under two names.

    Args:
        pattern: A regular expression of the name that is dropped.
        of: The name that is kept, with the pattern's groups.

    Returns:
        The rule.
    """
    return Rule(pattern, reason=f"the same tensor as {of}", copy_of=of)


POSITION_IDS = drop(r".*embeddings\.position_ids", "a buffer that counts 0, 1, 2, ...")
TOKEN_HEAD = (
    Rule(r"cls\.predictions\.(transform\.(?:dense|LayerNorm)\.(?:weight|bias)|bias)", r"cls.predictions.\1"),
    drop_copy(r"cls\.predictions\.decoder\.bias", "cls.predictions.bias"),
)


class CodeBase(NamedTuple):
    """What is peculiar to one code base.

    Attributes:
        name: Its name for messages.
        read_config: Turns its config into ours, and keeps account of the keys.
        rules: Turns both configs into the rules for its names.
        base: Prefix of the base model's weights.
        match_row: Row of its alignment head that means "text and image match". Ours is 0.
        notes: What every report shall say.
    """

    name: str
    read_config: Callable[[Mapping[str, Any]], tuple[VisionLanguageConfig, OriginalConfig]]
    rules: Callable[[VisionLanguageConfig, OriginalConfig], Iterable[Rule]]
    base: str = "bert."
    match_row: int = 0
    notes: tuple[str, ...] = ()


def convert(
    code_base: CodeBase, values: Mapping[str, Any], state: Mapping[str, Tensor], match_row: int | None = None
) -> Conversion:
    """Convert a checkpoint and account for every name in it.

    Args:
        code_base: Where the checkpoint comes from.
        values: The model's config as that code base takes it.
        state: The checkpoint's weights.
        match_row: Row of the checkpoint's alignment head that means a match, when it is not the code base's.

    Returns:
        The converted checkpoint: with pre-training heads when it has a vocabulary head, the base model otherwise.

    Raises:
        ValueError: When the config is incomplete, or describes what our models are not.
        ConversionError: When a name is missing or unexpected, a shape differs, or supposed copies differ.
    """
    config, original = code_base.read_config(values)
    report = ConversionReport(
        code_base.name,
        unused_config=original.unused,
        unknown_config=original.unknown,
        notes=[*code_base.notes, *original.notes],
    )
    base = code_base.base
    state = multiply_out_weight_norm(modernise_names(strip_wrappers(state, base, report)), report)
    has_heads = any(name.startswith("cls.predictions.") for name in state)
    model_class = MODEL_CLASSES[type(config)][has_heads]
    report.architecture = model_class.__name__
    decoder = _decoder_rule(state, config, f"{base}embeddings.word_embeddings.weight", report)
    prefix = "" if has_heads else f"{model_class.base_model_prefix}."
    converted = _apply(state, [decoder, *code_base.rules(config, original)], prefix, report)
    if (code_base.match_row if match_row is None else match_row) == 1:
        swapped = [name for name in converted if name.startswith(ALIGNMENT_HEAD)]
        converted |= {name: converted[name].flip(0) for name in swapped}
        if swapped:
            report.notes.append("rows of the alignment head swapped: its row 1 meant a match, ours is row 0")
    _compare_with_model(converted, model_class, config, report)
    report.raise_if_incomplete()
    return Conversion(config, converted, report)


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
    report: ConversionReport,
) -> None:
    with torch.device("meta"):
        model = model_class(config)
    tied = model.all_tied_weights_keys if config.tie_word_embeddings else {}
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}
    sources = {target: name for name, target in report.renamed.items()}
    report.missing += [name for name in expected if name not in converted]
    for target in list(converted):
        if target not in expected:
            report.unexpected.append(sources[target])
            del report.renamed[sources[target]]
        elif list(converted[target].shape) != expected[target]:
            report.mismatched[sources[target]] = (
                f"{list(converted[target].shape)} in the checkpoint, {expected[target]} by the config"
            )
