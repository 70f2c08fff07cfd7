"""Scoring N texts against M images: ours against one caption at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import modeling_vl
from configuration_vl import ViLBertConfig
from modeling_vl.retrieval import score_pairs

from .batches import draw_lengths, padded_to, read_batch, work_of
from .bound import linear_shapes, needed_flops
from .contest import OURS, check_same, verdict
from .measuring import count_flops, interleave
from .peers import fast_mode_scores

TEXTS, IMAGES = 4, 32
TEXT_LENGTHS, REGION_COUNTS = (7, 21), (18, 56)
"""14 word pieces and 37 regions on average."""
MAX_TEXT, MAX_REGIONS = 30, 101
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
    torch.manual_seed(0)
    ours = modeling_vl.ViLBertForPreTraining(ViLBertConfig(**sizes)).eval()
    plain = modeling_vl.ViLBertForPreTraining(ViLBertConfig(**sizes, packed_execution=False)).eval()
    plain.load_state_dict(ours.state_dict())
    plain.set_attn_implementation("eager")
    rng = np.random.default_rng(0)
    batch = read_batch(ours.config, draw_lengths(rng, texts, TEXT_LENGTHS), draw_lengths(rng, images, REGION_COUNTS))
    text, image = (
        {name: value for name, value in batch.items() if name.startswith("visual") == visual}
        for visual in (False, True)
    )
    padded = padded_to(batch, MAX_TEXT, MAX_REGIONS)
    padded_images = {name: value for name, value in padded.items() if name.startswith("visual")}

    def one_at_a_time() -> torch.Tensor:
        rows = [{name: padded[name][row : row + 1] for name in text} for row in range(texts)]
        return torch.stack([fast_mode_scores(plain, row, padded_images) for row in rows])

    runs = {OURS: lambda: score_pairs(ours, text, image), FAST_MODE: one_at_a_time}
    check_same({name: run() for name, run in runs.items()})
    ours.set_attn_implementation("eager")
    flops = {name: count_flops(run) for name, run in runs.items()}
    ours.set_attn_implementation("sdpa")
    pairs = np.stack(np.divmod(np.arange(texts * images), images), axis=1)
    ones = np.ones(len(pairs), dtype=np.int64)
    parts = (ours.vilbert.text_pooler, ours.vilbert.visual_pooler, ours.cls.seq_relationship)
    heads = [shape for part in parts for shape in linear_shapes(part, len(pairs))]
    work = work_of(batch, pairs, text_read=ones, regions_read=ones, heads=heads, training=False)
    tokens = int(work.text_lengths.sum() * images + work.region_counts.sum() * texts)
    result = verdict(interleave(runs, repeats=2), flops, needed_flops(ours.config, work), tokens)
    return {**result, "pairs": len(pairs)}
