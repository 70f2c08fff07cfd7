"""Scoring N texts against M images: ours against one caption at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

import modeling_vl
from configuration_vl import ViLBertConfig
from modeling_vl.retrieval import score_listed_pairs, score_pairs
from training_vl.first_stage import text_means

from .batches import Batch, draw_lengths, padded_to, read_batch, work_of
from .bound import linear_shapes, needed_flops
from .contest import OURS, check_same, verdict
from .measuring import count_flops, interleave
from .peers import fast_mode_scores

TEXTS, IMAGES = 4, 32
TEXT_LENGTHS, REGION_COUNTS = (7, 21), (18, 56)
"""14 word pieces and 37 regions on average."""
MAX_TEXT, MAX_REGIONS = 30, 101
FIRST_STAGE_SIZE = 512
"""Numbers that a text and an image are compared by."""
FAST_MODE = "one caption at a time, padded to 30+101"


def retrieval(texts: int = TEXTS, images: int = IMAGES, **sizes: Any) -> dict[str, Any]:
    """All scores of some captions and images, against vilbert_beta's fast mode.

    Args:
        texts: Captions.
        images: Images.
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns.
    """
    ours, batch, fast_mode = _contestants(texts, images, sizes)
    text, image = _sides(batch)
    runs = {OURS: lambda: score_pairs(ours, text, image), FAST_MODE: fast_mode}
    check_same({name: run() for name, run in runs.items()})
    flops = _flops(ours, runs)
    pairs = np.stack(np.divmod(np.arange(texts * images), images), axis=1)
    ones = np.ones(len(pairs), dtype=np.int64)
    parts = (ours.vilbert.text_pooler, ours.vilbert.visual_pooler, ours.cls.seq_relationship)
    heads = [shape for part in parts for shape in linear_shapes(part, len(pairs))]
    work = work_of(batch, pairs, text_read=ones, regions_read=ones, heads=heads, training=False)
    tokens = int(work.text_lengths.sum() * images + work.region_counts.sum() * texts)
    result = verdict(interleave(runs, repeats=2), flops, needed_flops(ours.config, work), tokens)
    return {**result, "pairs": len(pairs)}


def two_stages(texts: int = 2, images: int = 100, top_k: int = 5, **sizes: Any) -> dict[str, Any]:
    """Ranking `top_k` of all images that a first stage chose, against scoring all in vilbert_beta's fast mode.

    The first stage has random maps: what it chooses costs the same. The vectors of the images were computed before.

    Args:
        texts: Captions.
        images: Images.
        top_k: Images that the model scores for a caption.
        **sizes: Fields of the config, for a smaller model.

    Returns:
        What `contest.verdict` returns; the bound is what ours does.
    """
    ours, batch, fast_mode = _contestants(texts, images, sizes)
    text, image = _sides(batch)
    text_map = torch.randn(ours.config.hidden_size, FIRST_STAGE_SIZE)
    image_vectors = torch.randn(images, FIRST_STAGE_SIZE)

    def best_images() -> tuple[torch.Tensor, torch.Tensor]:
        chosen = (text_means(ours, text) @ text_map @ image_vectors.T).topk(top_k).indices
        pairs = torch.stack((torch.arange(texts)[:, None].expand(-1, top_k), chosen), dim=-1).flatten(0, 1)
        return pairs, score_listed_pairs(ours, text, image, pairs)

    pairs, scores = best_images()
    check_same({OURS: scores, FAST_MODE: fast_mode()[tuple(pairs.T)]})
    runs = {OURS: best_images, FAST_MODE: fast_mode}
    flops = _flops(ours, runs)
    tokens = int(batch["attention_mask"].sum() * images + batch["visual_attention_mask"].sum() * texts)
    return verdict(interleave(runs, repeats=2), flops, flops[OURS], tokens)


def _contestants(
    texts: int, images: int, sizes: dict[str, Any]
) -> tuple[nn.Module, Batch, Callable[[], torch.Tensor]]:
    """Our model, the captions and images, and what scores all of them in the fast mode with the same weights."""
    torch.manual_seed(0)
    ours = modeling_vl.ViLBertForPreTraining(ViLBertConfig(**sizes)).eval()
    plain = modeling_vl.ViLBertForPreTraining(ViLBertConfig(**sizes, packed_execution=False)).eval()
    plain.load_state_dict(ours.state_dict())
    plain.set_attn_implementation("eager")
    rng = np.random.default_rng(0)
    batch = read_batch(ours.config, draw_lengths(rng, texts, TEXT_LENGTHS), draw_lengths(rng, images, REGION_COUNTS))
    padded_texts, padded_images = _sides(padded_to(batch, MAX_TEXT, MAX_REGIONS))

    def one_at_a_time() -> torch.Tensor:
        rows = [{name: value[row : row + 1] for name, value in padded_texts.items()} for row in range(texts)]
        return torch.stack([fast_mode_scores(plain, row, padded_images) for row in rows])

    return ours, batch, one_at_a_time


def _sides(batch: Batch) -> list[Batch]:
    """What belongs to the texts, and what to the images."""
    return [
        {name: value for name, value in batch.items() if name.startswith("visual") == visual}
        for visual in (False, True)
    ]


def _flops(ours: nn.Module, runs: Mapping[str, Callable[[], Any]]) -> dict[str, int]:
    ours.set_attn_implementation("eager")
    try:
        return {name: count_flops(run) for name, run in runs.items()}
    finally:
        ours.set_attn_implementation("sdpa")
