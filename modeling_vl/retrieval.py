"""Scoring texts against images: with a retrieval model, such a head of several, or pre-training's alignment head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers.modeling_utils import PreTrainedModel

from .heads import PreTrainingHeads
from .image_text_retrieval import ImageTextRetrieval, ImageTextRetrievalMixin
from .model_inputs import all_pairs

Inputs = Mapping[str, Tensor]


@torch.no_grad()
def score_pairs(
    model: PreTrainedModel,
    texts: Inputs,
    images: Inputs,
    *,
    pairs_per_chunk: int = 256,
    progress: bool = False,
    task: str | None = None,
) -> Tensor:
    """How well each of N texts matches each of M images.

    The matrix is computed in chunks of some texts times some images, of similar lengths each. In ViLBERT the layers
    before the first co-attention, and its projections, run once a text and once an image of the chunk; VisualBERT
    projects features once an image and then reads every pair as a whole.

    Args:
        model: A class for image-text retrieval, for several tasks or for pre-training; runs in evaluation mode on its
            own device.
        texts: Inputs of the text, `[N, ...]` each: `input_ids`, `attention_mask`, `token_type_ids`, ...
        images: Inputs of the image, `[M, ...]` each: `visual_embeds`, `visual_locations`, `visual_attention_mask`, ...
        pairs_per_chunk: Pairs a forward pass; bounds the memory and does not change the scores.
        progress: Whether to show a progress bar.
        task: Of a model for several tasks, the one of kind "retrieval" that scores.

    Returns:
        float32 `[N, M]` on the CPU: log-odds of a match, whose sigmoid is the probability; from a retrieval head
        "score" what that head says.

    Raises:
        TypeError: If the model scores no pairs.
        ValueError: If `pairs_per_chunk` is below 1, there are no texts or no images, or `task` is none that scores
            pairs.
    """
    num_texts, num_images = _check(model, texts, images, pairs_per_chunk, task)
    text_rows, image_rows = _chunk_shape(num_texts, num_images, pairs_per_chunk)
    if getattr(model.config, "dynamic_attention", False):
        # The text gates the image layers from the first one on: one text at a time can share them.
        text_rows, image_rows = 1, min(num_images, pairs_per_chunk)
    scores = torch.empty(num_texts, num_images)
    text_order, image_order = _by_length(texts, "attention_mask"), _by_length(images, "visual_attention_mask")
    chunks = [(i, j) for i in text_order.split(text_rows) for j in image_order.split(image_rows)]
    with _evaluating(model):
        for i, j in tqdm(chunks, desc="scoring pairs", unit="chunk", disable=not progress):
            pairs = all_pairs(len(i), len(j), model.device)
            chunk = _score(model, _rows(texts, i, model.device), _rows(images, j, model.device), pairs, task)
            scores[i[:, None], j] = chunk.view(len(i), len(j))
    return scores


@torch.no_grad()
def score_listed_pairs(
    model: PreTrainedModel,
    texts: Inputs,
    images: Inputs,
    pairs: Tensor,
    *,
    pairs_per_chunk: int = 256,
    task: str | None = None,
) -> Tensor:
    """How well some texts match some images, for example the candidates of a first stage.

    Args:
        model: As in `score_pairs`.
        texts: As in `score_pairs`, `[N, ...]` each.
        images: As in `score_pairs`, `[M, ...]` each.
        pairs: Text row and image row of each pair, int64 `[P, 2]`. Pairs of one text should stand together, as they
            share what is computed of it.
        pairs_per_chunk: As in `score_pairs`.
        task: As in `score_pairs`.

    Returns:
        float32 `[P]` on the CPU.

    Raises:
        TypeError: As in `score_pairs`.
        ValueError: The same.
    """
    _check(model, texts, images, pairs_per_chunk, task)
    groups = [pairs]
    if getattr(model.config, "dynamic_attention", False):
        groups = pairs.split(pairs[:, 0].unique_consecutive(return_counts=True)[1].tolist())
    scores = [pairs.new_empty(0, dtype=torch.float32)]
    with _evaluating(model):
        for chunk in (chunk for group in groups for chunk in group.split(pairs_per_chunk)):
            (text_rows, text_numbers), (image_rows, image_numbers) = (
                column.unique(return_inverse=True) for column in chunk.unbind(1)
            )
            numbers = torch.stack((text_numbers, image_numbers), dim=1).to(model.device)
            inputs = _rows(texts, text_rows, model.device), _rows(images, image_rows, model.device)
            scores.append(_score(model, *inputs, numbers, task))
    return torch.cat(scores)


def _check(
    model: PreTrainedModel, texts: Inputs, images: Inputs, pairs_per_chunk: int, task: str | None
) -> tuple[int, int]:
    _check_model(model, task)
    if pairs_per_chunk < 1:
        raise ValueError(f"pairs_per_chunk must be at least 1, got {pairs_per_chunk}")
    num_texts, num_images = len(texts["input_ids"]), len(images["visual_embeds"])
    if not num_texts or not num_images:
        raise ValueError(f"there is nothing to score: {num_texts} texts and {num_images} images")
    return num_texts, num_images


def _check_model(model: PreTrainedModel, task: str | None) -> None:
    tasks = getattr(model, "tasks", {})
    scoring = [name for name, each in tasks.items() if isinstance(each, ImageTextRetrieval)]
    if task in scoring:
        return
    if scoring or task is not None:
        raise ValueError(
            f"task must be one that scores pairs, of {type(model).__name__} {scoring or 'none does'}; got {task!r}"
        )
    if not isinstance(model, ImageTextRetrievalMixin) and not isinstance(
        getattr(model, "cls", None), PreTrainingHeads
    ):
        raise TypeError(
            "pairs are scored by the classes for image-text retrieval, by those for several tasks with a head for it, "
            f"or with the alignment head of those for pre-training, which {type(model).__name__} has not"
        )


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _by_length(inputs: Inputs, mask_name: str) -> Tensor:
    """Rows in the order of their lengths: attention pads each chunk to its longest."""
    rows = len(next(iter(inputs.values())))
    return inputs[mask_name].sum(1).cpu().argsort(stable=True) if mask_name in inputs else torch.arange(rows)


def _rows(inputs: Inputs, rows: Tensor, device: torch.device) -> dict[str, Tensor]:
    """Some rows on the model's device, without places that are padding in all of them."""
    chosen = {name: value[rows.to(value.device)] for name, value in inputs.items()}
    mask = next((value for name, value in chosen.items() if name.endswith("attention_mask")), None)
    if mask is not None:
        length = max(mask.any(0).nonzero().flatten().tolist(), default=mask.shape[1] - 1) + 1
        chosen = {
            name: value[:, :length] if value.dim() > 1 and value.shape[1] == mask.shape[1] else value
            for name, value in chosen.items()
        }
    return {name: value.to(device) for name, value in chosen.items()}


def _score(model: PreTrainedModel, texts: Inputs, images: Inputs, pairs: Tensor, task: str | None) -> Tensor:
    if task is not None or isinstance(model, ImageTextRetrievalMixin):
        named = {} if task is None else {"task": task}
        return model(**texts, **images, **named, pair_index=pairs[:, None]).logits.flatten().float().cpu()
    logits = model(**texts, **images, pair_index=pairs, return_logits=False).seq_relationship_logits.float()
    return (logits[:, 0] - logits[:, 1]).cpu()


def _chunk_shape(num_texts: int, num_images: int, pairs: int) -> tuple[int, int]:
    """Texts and images a chunk: as square as possible, so that the most layers are shared."""
    side = max(1, int(pairs**0.5))
    text_rows = min(num_texts, side)
    image_rows = min(num_images, pairs // text_rows)
    return min(num_texts, pairs // image_rows), image_rows
