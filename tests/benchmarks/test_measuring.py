"""The benchmark's instruments, held against what is known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.batches import padded_to, pretraining_batch
from benchmarks.contest import OURS, check_same, verdict
from benchmarks.measuring import count_flops, interleave, peak_memory
from benchmarks.sweeps import fit
from configuration_vl import ViLBertConfig

ROOT = Path(__file__).resolve().parents[2]


def test_operations_of_a_product() -> None:
    assert count_flops(lambda: torch.ones(3, 5) @ torch.ones(5, 7)) == 2 * 3 * 5 * 7


def test_memory_of_the_worst_moment() -> None:
    kilobyte = torch.ones(256)
    assert 2048 <= peak_memory(lambda: [kilobyte + 1, kilobyte + 2][0]) < 2200  # and the two numbers that are added
    assert peak_memory(lambda: [(kilobyte + 1).sum() for _ in range(3)]) < 1200


def test_sides_take_turns_and_warm_up() -> None:
    turns: list[str] = []
    times = interleave({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, repeats=2, warm_ups=1)
    assert turns == ["a", "b"] * 3
    assert times["a"].keys() == {"seconds", "fastest", "cpu_seconds"} and times["a"]["seconds"] > 0


def test_sides_that_compute_different_things_are_refused() -> None:
    check_same({OURS: torch.tensor([1.0, 2.0]), "peer": torch.tensor([1.00001, 2.0])})
    with pytest.raises(RuntimeError, match="peer .* 0.5"):
        check_same({OURS: torch.tensor([1.0, 2.0]), "peer": torch.tensor([1.5, 2.0])})


def test_a_verdict_names_ratio_bound_and_share() -> None:
    times = {
        OURS: {"seconds": 2.0, "fastest": 2.0, "cpu_seconds": 3.0},
        "peer": {"seconds": 3.0, "fastest": 3.0, "cpu_seconds": 6.0},
    }
    result = verdict(times, {OURS: 110, "peer": 200}, needed=100, tokens=50)
    assert result["against"]["peer"] == {"ratio": 1.5, "cpu_ratio": 2.0, "bound": 2.0, "share": 0.75}
    assert result["sides"][OURS]["tokens_per_second"] == 25 and result["sides"][OURS]["flops_per_second"] == 50


def test_fits_find_a_line_and_a_power() -> None:
    line = fit([1, 2, 4], [5.0, 7.0, 11.0])
    np.testing.assert_allclose([line["offset"], line["slope"], line["r2"]], [3, 2, 1])
    np.testing.assert_allclose(fit([1, 2, 4], [3.0, 12.0, 48.0])["exponent"], 2)


def test_more_padding_changes_no_example() -> None:
    config = ViLBertConfig(visual_embedding_dim=6, num_region_classes=4)
    batch = pretraining_batch(config, np.array([3, 5]), np.array([4, 2]))
    padded = padded_to(batch, 9, 8)
    assert padded["labels"].shape == (2, 9) and padded["region_class_probs"].shape == (2, 8, 4)
    assert padded["attention_mask"].sum() == 8 and (padded["labels"][:, 5:] == -100).all()
    assert (padded["region_labels"][:, 4:] == -100).all() and padded["visual_embeds"][:, 4:].abs().sum() == 0
    torch.testing.assert_close(padded["visual_locations"][:, :4], batch["visual_locations"], rtol=0, atol=0)


def test_a_row_of_the_benchmark_leaves_numbers_a_table_and_a_plot(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--only", "matrix_rate", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"matrix_rate.json", "results.json", "table.md", "plot.png"}
    entry = json.loads((tmp_path / "results.json").read_text())["matrix_rate"]
    assert entry["result"]["float32"] > 1e8 and entry["machine"]["cores"] >= 1
    assert "matrix products of 2048 x 2048" in (tmp_path / "table.md").read_text()
