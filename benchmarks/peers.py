"""What this package is measured against.

The VisualBERT of transformers is run as it is. ViLBERT's code no longer installs, so its way of working is re-enacted
with our own layers: everything padded, attention written out, all logits, one caption at a time against all images.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from modeling_vl import ViLBertForPreTraining
from modeling_vl.heads import fuse
from modeling_vl.packing import PaddedLayout
from modeling_vl.streams import Pass, Stream

THEIR_CLASSES = {
    "VisualBertForPreTraining": "VisualBertForPreTraining",
    "VisualBertForVisualQuestionAnswering": "VisualBertForQuestionAnswering",
    "VisualBertForMultipleChoice": "VisualBertForMultipleChoice",
    "VisualBertForSequenceClassification": "VisualBertForVisualReasoning",
}


def transformers_twin(ours: nn.Module) -> nn.Module:
    """The class of transformers for one of our VisualBERT's, with the same weights.

    Args:
        ours: A model that has such a class.

    Returns:
        Theirs.

    Raises:
        RuntimeError: If a weight of theirs is not among ours.
    """
    config = ours.config
    defaults = transformers.VisualBertConfig()
    names = [name for name in (*config.size_fields, "num_labels") if hasattr(defaults, name)]
    their_config = transformers.VisualBertConfig(**{name: getattr(config, name) for name in names})
    theirs = getattr(transformers, THEIR_CLASSES[type(ours).__name__])(their_config)
    weights = ours.state_dict()
    if "cls.predictions.bias" in weights:
        weights["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"]
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    missing = [name for name in missing if not name.endswith("position_ids")]
    if missing or unexpected:
        raise RuntimeError(f"{type(theirs).__name__} lacks {unexpected}, and has also {missing}")
    return theirs.train()


def plain_vilbert_loss(model: ViLBertForPreTraining, batch: Mapping[str, Tensor]) -> Tensor:
    """The pre-training loss as vilbert_beta computes it: all states, all logits, then those that are labelled.

    Args:
        model: With `packed_execution=False` and eager attention.
        batch: Inputs and labels.

    Returns:
        The loss.
    """
    inputs = {name: value for name, value in batch.items() if name.startswith(("input", "attention", "visual"))}
    states = model.vilbert(**inputs)
    words = model.cls.predictions(states.last_hidden_state)
    regions = model.cls.region_predictions(states.visual_last_hidden_state)["kl"]
    alignment = model.cls.alignment_logits(states.pooler_output, states.visual_pooler_output)
    masked = batch["region_labels"] == 1
    divergence = F.kl_div(regions.log_softmax(-1), batch["region_class_probs"], reduction="none").sum(-1)
    return (
        F.cross_entropy(words.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)
        + (divergence * masked).sum() / masked.sum()
        + F.cross_entropy(alignment, batch["sentence_image_labels"])
    )


@torch.no_grad()
def fast_mode_scores(model: ViLBertForPreTraining, text: Mapping[str, Tensor], images: Mapping[str, Tensor]) -> Tensor:
    """Scores of one caption and all images as vilbert_beta's `fast_mode` computes them.

    The text layers before the first co-attention run once; then the text is repeated for every image.

    Args:
        model: With `packed_execution=False` and eager attention, in evaluation mode.
        text: Inputs of one padded text, `[1, T]` each.
        images: Inputs of M padded images, `[M, R, ...]` each.

    Returns:
        Log-odds of a match, `[M]`.
    """
    base = model.vilbert
    count, num_regions = images["visual_attention_mask"].shape
    text_mask = text["attention_mask"].expand(count, -1)
    forward_pass = Pass.of(base.config, None, None)
    layout = PaddedLayout(text["attention_mask"], *text["input_ids"].shape)
    stream = Stream(forward_pass, base.text_embeddings(text["input_ids"], None, None, None, layout), layout)
    first = base.config.text_coattention_ids[0]
    stream.run(base.encoder.text_layers[:first])
    words = Stream(
        forward_pass,
        stream.states.expand(count, -1, -1).contiguous(),
        PaddedLayout(text_mask, count, text_mask.shape[1]),
    )
    layout = PaddedLayout(images["visual_attention_mask"], count, num_regions)
    embedded = base.visual_embeddings(images["visual_embeds"], images["visual_locations"], None, layout)
    regions = Stream(forward_pass, embedded, layout)
    _run_pairs(base.encoder, words, regions, first)
    pooled = base.text_pooler(words.states), base.visual_pooler(regions.states)
    logits = model.cls.seq_relationship(fuse(base.config.fusion_method, *pooled))
    return logits[:, 0] - logits[:, 1]


def _run_pairs(encoder: nn.Module, text: Stream, regions: Stream, text_done: int) -> None:
    config, visual_done = encoder.config, 0
    meetings = zip(config.text_coattention_ids, config.visual_coattention_ids, encoder.coattention_layers, strict=True)
    for text_end, visual_end, layer in meetings:
        text.run(encoder.text_layers[text_done:text_end])
        regions.run(encoder.visual_layers[visual_done:visual_end])
        text_done, visual_done = text_end, visual_end
        plans = text.looking_at(regions), regions.looking_at(text)
        new_text, new_regions, _, _ = layer(text.states, regions.states, *plans)
        text.update(new_text)
        regions.update(new_regions)
    text.run(encoder.text_layers[text_done:])
    regions.run(encoder.visual_layers[visual_done:])
