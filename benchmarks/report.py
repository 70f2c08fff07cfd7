"""What was measured, as JSON, as Markdown tables and as a plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .contest import OURS
from .rows import ROWS
from .sweeps import POINTS

SHARE_OF_BOUND = 0.93
Results = dict[str, dict[str, Any]]


def write_report(output: Path) -> None:
    """Write `results.json`, `table.md` and `plot.png` from the rows that `output` holds."""
    entries = {
        name: json.loads((output / f"{name}.json").read_text(encoding="utf-8"))
        for name in ROWS
        if (output / f"{name}.json").is_file()
    }
    (output / "results.json").write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    table = markdown(entries)
    (output / "table.md").write_text(table, encoding="utf-8")
    print(table)
    draw(entries, output / "plot.png")


def markdown(entries: Results) -> str:
    """All tables.

    Args:
        entries: What each row left, by name.

    Returns:
        Markdown.
    """
    results = {name: entry["result"] for name, entry in entries.items()}
    parts = [_steps(results), _others(results), _sweeps(results), _machines(entries)]
    return "\n".join(part for part in parts if part)


def _steps(results: Results) -> str:
    rates = results.get("matrix_rate")
    lines = []
    for name, result in results.items():
        for peer, against in result.get("against", {}).items():
            target = ROWS[name].targets.get(peer, "none")
            wanted = SHARE_OF_BOUND * against["bound"] if target is None else target
            ours, theirs = (result["sides"][side] for side in (OURS, peer))
            share = ""
            if rates:
                rate = rates["bfloat16" if name.endswith(("bf16", "as_shipped")) else "float32"]
                share = f"{ours['flops_per_second'] / rate:.0%}"
            lines.append(
                f"| {ROWS[name].title} | {peer} | {theirs['seconds']:.2f} s | {ours['seconds']:.2f} s | "
                f"{against['ratio']:.2f} | {against['cpu_ratio']:.2f} | {against['bound']:.2f} | "
                f"{'–' if wanted == 'none' else format(wanted, '.2f')} | {ours['tokens_per_second']:.0f} | {share} |"
            )
    if not lines:
        return ""
    head = (
        "| what | against | peer | ours | times faster | by processor time | bound | target | useful tokens/s | "
        "share of matrix rate |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    )
    return head + "\n".join(lines) + "\n"


def _others(results: Results) -> str:
    lines = []
    if "matrix_rate" in results:
        rates = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in results["matrix_rate"].items())
        lines.append(f"| matrix products of 2048 x 2048, GFLOP/s | {rates} | |")
    if "memory" in results.get("visualbert", {}):
        memory = results["visualbert"]["memory"]
        sides = ", ".join(f"{name} {value / 2**20:.0f} MB" for name, value in memory["bytes"].items())
        lines.append(f"| peak memory of a step beyond weights and gradients: {sides} | {memory['ratio']:.2f} | 0.6 |")
    if "region_features" in results:
        result = results["region_features"]
        for peer, ratio in result["ratios"].items():
            target = ROWS["region_features"].targets[peer]
            sides = f"{result['seconds'][peer] * 1e3:.1f} ms against {result['seconds'][OURS] * 1e3:.1f} ms"
            lines.append(f"| region features, batch of 32, {peer}: {sides} | {ratio:.1f} | {target} |")
    if "data_set_size" in results:
        result = results["data_set_size"]
        memory = ", ".join(
            f"{count} images {value / 2**20:.1f} MB" for count, value in result["anonymous_bytes"].items()
        )
        times = ", ".join(f"{value * 1e3:.2f} ms" for value in result["seconds"].values())
        lines.append(f"| private memory of an open data set and 100 batches | {memory} | flat |")
        lines.append(f"| a batch of 32 small images from them | {times} | flat |")
    if "import_time" in results:
        result = results["import_time"]
        seconds = result["seconds"]
        told = f"{seconds[OURS]:.2f} s against {seconds['transformers']:.2f} s"
        lines.append(f"| import: {told} | {result['difference']:+.2f} s | +0.3 s |")
    if "processes" in results:
        result = results["processes"]
        rates = ", ".join(f"{count}: {rate:.0f}" for count, rate in result["tokens_per_second"].items())
        lines.append(f"| useful tokens/s by number of processes ({rates}) | {result['ratio']:.2f} | |")
    return "\n| what | measured | target |\n|---|---:|---:|\n" + "\n".join(lines) + "\n" if lines else ""


def _sweeps(results: Results) -> str:
    lines = []
    for axis in POINTS:
        if f"sweep_{axis}" in results:
            result = results[f"sweep_{axis}"]
            fit = result["fit"]
            points = ", ".join(
                f"{point}: {second:.2f}" for point, second in zip(result["points"], result["seconds"], strict=True)
            )
            lines.append(
                f"| {axis} | {points} | {fit['offset']:.3f} + {fit['slope']:.4f} x | {fit['r2']:.3f} | "
                f"{fit['exponent']:.2f} |"
            )
    head = "\n| axis | seconds at each point | line | R² | exponent |\n|---|---|---|---:|---:|\n"
    return head + "\n".join(lines) + "\n" if lines else ""


def _machines(entries: Results) -> str:
    machines = {json.dumps(entry["machine"], sort_keys=True) for entry in entries.values()}
    lines = []
    for text in sorted(machines):
        machine = json.loads(text)
        lines.append(
            f"{machine['cores']} cores of {machine['cpu']}, {machine['threads']} threads, Python {machine['python']}, "
            f"torch {machine['torch']}, transformers {machine['transformers']}, {machine['date']}."
        )
    loads = [entry["load_before"] for entry in entries.values()]
    if loads:
        lines.append(f"Load of the machine before the rows: {min(loads):.1f} to {max(loads):.1f}.")
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def draw(entries: Results, path: Path) -> None:
    """Draw ratios beside their bounds, and the growth of a step.

    Args:
        entries: What each row left, by name.
        path: The picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = {name: entry["result"] for name, entry in entries.items()}
    bars = [
        (f"{ROWS[name].title}\n{peer}", against["ratio"], against["bound"])
        for name, result in results.items()
        for peer, against in result.get("against", {}).items()
    ]
    sweeps = {axis: results[f"sweep_{axis}"] for axis in POINTS if f"sweep_{axis}" in results}
    figure, axes = pyplot.subplots(1, 2, figsize=(14, max(3, 0.6 * len(bars))), layout="constrained")
    places = range(len(bars))
    ratios = axes[0].barh(places, [ratio for _, ratio, _ in bars], color="#4477aa")
    axes[0].bar_label(ratios, fmt="%.2g", fontsize=8, padding=8)
    axes[0].scatter([bound for _, _, bound in bars], places, marker="|", s=400, color="#cc3311", label="bound")
    axes[0].set_yticks(places, [label for label, _, _ in bars], fontsize=7)
    axes[0].invert_yaxis()
    axes[0].set_xlabel("times faster than the peer (logarithmic)")
    if bars:
        axes[0].set_xscale("log")
        axes[0].xaxis.set_major_formatter("{x:g}")
    axes[0].margins(x=0.15)
    axes[0].legend(loc="lower right")
    for axis, result in sweeps.items():
        axes[1].plot(result["points"], result["seconds"], marker="o", label=axis)
    axes[1].set(xlabel="value of the axis", ylabel="seconds a step")
    if sweeps:
        axes[1].set_xscale("log", base=2)
        axes[1].set_yscale("log")
        axes[1].xaxis.set_major_formatter("{x:g}")
        axes[1].yaxis.set_major_formatter("{x:g}")
        axes[1].yaxis.set_minor_formatter("{x:g}")
        axes[1].legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
