"""Pre-training runs in this process and in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.run_pretraining import pretrain
from training_vl.arguments import parse_pretraining_arguments
from training_vl.training_log import read_log

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "run_pretraining.py"
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch"]
# Sums come out the same only when every process adds in the same order.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}


def run_here(recipe: Path, output_dir: Path, *arguments: str) -> list[dict[str, Any]]:
    """Train in this process and return the log."""
    pretrain(parse_pretraining_arguments([str(recipe), "--output_dir", str(output_dir), *arguments]))
    return comparable(output_dir)


def launch(launcher: list[str], recipe: Path, output_dir: Path, *arguments: str) -> str:
    """Train in new processes and return what they wrote to stderr."""
    command = [*launcher, str(SCRIPT), str(recipe), "--output_dir", str(output_dir), *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def comparable(output_dir: Path) -> list[dict[str, Any]]:
    """The log without the speed, which is never the same twice."""
    return [
        {name: value for name, value in row.items() if name != "train/examples_per_second"}
        for row in read_log(output_dir)
    ]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()
