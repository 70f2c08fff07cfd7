"""Measuring a pre-training model: losses and accuracies, every example counted once over all processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from modeling_vl.losses import IGNORE_INDEX
from modeling_vl.outputs import PreTrainingOutput

CLASS_TARGETS = {
    "kl": "region_class_probs",
    "class": "object_ids",
    "object": "object_ids",
    "attribute": "attribute_ids",
}
"""Region targets that name a class, and the model input that tells which: its number, or a distribution whose most
probable class counts."""

_SUMS = {"mlm": 1.0, "region": 1.0, "alignment": 1.0}


class _Term:
    """What is counted of one loss term: the sum of losses, items, right answers, how often each answer is right."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.loss = torch.zeros((), device=device)
        self.items = torch.zeros((), dtype=torch.long, device=device)
        self.right = torch.zeros((), dtype=torch.long, device=device)
        self.answers = torch.zeros(num_classes, dtype=torch.long, device=device)

    def add(self, loss: Tensor, logits: Tensor, answers: Tensor) -> None:
        self.loss += loss
        self.items += len(answers)
        self.right += (logits.argmax(-1) == answers).sum()
        self.answers += torch.bincount(answers, minlength=len(self.answers))

    def reduce(self, accelerator: Accelerator) -> None:
        for name in vars(self):
            setattr(self, name, accelerator.reduce(getattr(self, name), "sum"))


@torch.no_grad()
def evaluate_pretraining(
    model: PreTrainedModel, batches: Iterable[Mapping[str, Tensor]], accelerator: Accelerator, *, seed: int = 0
) -> dict[str, float]:
    """Losses and accuracies of a model over all examples of all processes.

    Args:
        model: A ViLBERT or VisualBERT for pre-training, not wrapped for data parallelism: the processes may have
            unequal numbers of batches.
        batches: This process's share, `datasets_vl.evaluation.evaluation_batches`.
        accelerator: The processes.
        seed: For what is drawn inside the model (negatives of the region target "nce"); the random state of the
            training is left as it was.

    Returns:
        `loss` and its terms; `token_accuracy` over masked tokens; `region_accuracy` over masked regions, for the first
        of the config's region targets that names a class; `alignment_accuracy`; and for every accuracy a `_chance`:
        that of always giving the most frequent answer. Terms that nothing asks for are missing.
    """
    config, device = model.config, accelerator.device
    class_target = next((target for target in config.region_targets if target in CLASS_TARGETS), None)
    terms = {"token": _Term(config.vocab_size, device), "alignment": _Term(2, device)}
    if config.region_targets:
        terms["region"] = _Term(config.region_target_size(class_target) if class_target else 1, device)
    devices = [device] if device.type == "cuda" else []
    was_training = model.training
    model.eval()
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for batch in tqdm(
            batches, desc="evaluation", unit="batch", leave=False, disable=not accelerator.is_main_process
        ):
            inputs = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
            output = model(**inputs, loss_denominators=_SUMS, output_hidden_states=True)
            _count(model, terms, class_target, inputs, output)
    model.train(was_training)
    for term in terms.values():
        term.reduce(accelerator)
    return _scores(terms, class_target)


def _count(
    model: PreTrainedModel,
    terms: Mapping[str, _Term],
    class_target: str | None,
    inputs: Mapping[str, Tensor],
    output: PreTrainingOutput,
) -> None:
    """Count a batch. Vocabulary and region logits are computed at masked places only."""
    length = inputs["input_ids"].shape[1]
    states = output.hidden_states[-1]
    masked = inputs["labels"] != IGNORE_INDEX
    logits = model.cls.predictions(states[:, :length][masked])
    terms["token"].add(output.mlm_loss, logits, inputs["labels"][masked])
    judged = inputs["sentence_image_labels"] != IGNORE_INDEX
    judgements = output.seq_relationship_logits[judged]
    terms["alignment"].add(output.alignment_loss, judgements, inputs["sentence_image_labels"][judged])
    if "region" not in terms:
        return
    masked = inputs["region_labels"] == 1
    if class_target is None:
        terms["region"].loss += output.region_loss
        terms["region"].items += masked.sum()
        return
    regions = states[:, length:] if output.visual_hidden_states is None else output.visual_hidden_states[-1]
    logits = model.cls.region_predictions(regions[masked])[class_target]
    answers = inputs[CLASS_TARGETS[class_target]][masked]
    terms["region"].add(output.region_loss, logits, answers.argmax(-1) if answers.dim() == 2 else answers)


def _scores(terms: Mapping[str, _Term], class_target: str | None) -> dict[str, float]:
    losses, accuracies = {}, {}
    for name, term in terms.items():
        items = int(term.items)
        if items == 0:
            continue
        losses["mlm_loss" if name == "token" else f"{name}_loss"] = float(term.loss) / items
        if name != "region" or class_target is not None:
            accuracies[f"{name}_accuracy"] = int(term.right) / items
            accuracies[f"{name}_chance"] = int(term.answers.max()) / items
    return {"loss": sum(losses.values()), **losses, **accuracies}
