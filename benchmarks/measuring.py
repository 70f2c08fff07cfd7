"""Time, memory and floating-point operations of a piece of work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

Run = Callable[[], Any]


def interleave(runs: Mapping[str, Run], repeats: int, warm_ups: int = 1) -> dict[str, dict[str, float]]:
    """Time several pieces of work in turn, so that what else the machine does meets all of them.

    Args:
        runs: What to do, by name.
        repeats: Times that each is measured.
        warm_ups: Times that each is done before.

    Returns:
        For each name the median seconds by the clock ("seconds"), the fastest ("fastest"), and the median processor
        time of all threads ("cpu_seconds").
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(warm_ups + repeats):
        for name, run in runs.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            if turn >= warm_ups:
                taken[name].append((time.perf_counter() - start, time.process_time() - cpu_start))
    return {
        name: {
            "seconds": statistics.median(wall for wall, _ in times),
            "fastest": min(wall for wall, _ in times),
            "cpu_seconds": statistics.median(cpu for _, cpu in times),
        }
        for name, times in taken.items()
    }


def count_flops(run: Run) -> int:
    """Floating-point operations of the matrix products that `run` does.

    Attention must be eager: torch counts none of its fused attention on CPUs.
    """
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def peak_memory(run: Run) -> int:
    """Bytes that `run` allocates on the CPU beyond what lives before it, at the worst moment."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


def matrix_rate(dtype: torch.dtype, size: int = 2048, repeats: int = 5) -> float:
    """Floating-point operations a second of a large matrix product, the fastest of `repeats`.

    Args:
        dtype: Of both factors.
        size: Rows and columns of both.
        repeats: Times it is measured.

    Returns:
        Operations a second.
    """
    first, second = (torch.randn(size, size).to(dtype) for _ in range(2))
    times = interleave({"product": lambda: first @ second}, repeats)
    return 2 * size**3 / times["product"]["fastest"]


def matrix_rates() -> dict[str, float]:
    """Operations a second of large matrix products in float32 and bfloat16, all threads together."""
    return {"float32": matrix_rate(torch.float32), "bfloat16": matrix_rate(torch.bfloat16)}
