"""How the cost of a pre-training step grows with batch, text, regions and layers; and what a second process brings."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as distributed
from torch.nn.parallel import DistributedDataParallel

import modeling_vl
from configuration_vl import VisualBertConfig

from .batches import Batch, pretraining_batch
from .contest import Side
from .measuring import interleave
from .training_rows import lengths_as_in_real_data, loss_of, pretraining_flops, real_tokens

BASE = {"batch": 8, "text": 16, "regions": 24, "layers": 4}
POINTS = {
    "batch": (4, 8, 16, 32),
    "text": (8, 16, 32, 64, 128),
    "regions": (12, 24, 48, 96),
    "layers": (2, 4, 8, 12),
}


def sweep(axis: str, points: Sequence[int] = (), **sizes: int) -> dict[str, Any]:
    """Time steps of a VisualBERT of base width along one axis, the others as in `BASE`.

    Args:
        axis: A key of `POINTS`.
        points: Values of the axis; those of `POINTS` by default.
        **sizes: Fields of the config, for a smaller model.

    Returns:
        `points`, `seconds` and `needed_flops` of each, and the `fit` of the seconds.
    """
    points = points or POINTS[axis]
    runs, flops = {}, []
    for point in points:
        setting = {**BASE, axis: point}
        torch.manual_seed(0)
        config = VisualBertConfig(**{**sizes, "num_hidden_layers": setting["layers"]})
        model = modeling_vl.VisualBertForPreTraining(config)
        counts = (np.full(setting["batch"], setting[name]) for name in ("text", "regions"))
        batch = pretraining_batch(config, *counts)
        flops.append(pretraining_flops(model, batch))
        runs[str(point)] = Side(model, loss_of(batch)).step
    times = interleave(runs, repeats=3)
    seconds = [times[str(point)]["seconds"] for point in points]
    return {"points": list(points), "seconds": seconds, "needed_flops": flops, "fit": fit(points, seconds)}


def fit(points: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """Fit how seconds grow: a straight line, and a power.

    Args:
        points: Values of an axis.
        seconds: What each took.

    Returns:
        `offset` and `slope` of the line, its `r2` (share of the variance that it explains), and the `exponent` of the
        power.
    """
    x, y = np.asarray(points, dtype=float), np.asarray(seconds, dtype=float)
    slope, offset = np.polyfit(x, y, 1)
    rest = ((y - offset - slope * x) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    exponent = np.polyfit(np.log(x), np.log(y), 1)[0]
    return {"offset": offset, "slope": slope, "r2": 1 - rest, "exponent": exponent}


def processes(steps: int = 3, **sizes: int) -> dict[str, Any]:
    """Throughput of pre-training VisualBERT base with all cores in one process, and with half of them in each of two.

    Args:
        steps: Steps that are timed.
        **sizes: Fields of the config, for a smaller model.

    Returns:
        `tokens_per_second` by number of processes, and their `ratio`.
    """
    rates = {}
    for count in (1, 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = torch.multiprocessing.get_context("spawn")
        results = context.SimpleQueue()
        torch.multiprocessing.spawn(_train, (count, port, steps, sizes, results), nprocs=count)
        rates[count] = sum(results.get() for _ in range(count))
    return {"tokens_per_second": rates, "ratio": rates[2] / rates[1]}


def _train(rank: int, count: int, port: int, steps: int, sizes: dict[str, int], results: Any) -> None:
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // count))
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=count)
    torch.manual_seed(0)
    config = VisualBertConfig(**sizes)
    model = modeling_vl.VisualBertForPreTraining(config).train()
    model = model if count == 1 else DistributedDataParallel(model)
    batch: Batch = lengths_as_in_real_data(config)
    side = Side(model, loss_of(batch))
    times = interleave({"step": side.step}, steps)
    results.put(real_tokens(batch) / times["step"]["seconds"])
    distributed.destroy_process_group()
