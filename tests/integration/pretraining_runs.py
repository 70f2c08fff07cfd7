"""Pre-training runs in this process; runs of any script in processes of their own, to their end or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from training_vl.arguments import parse_pretraining_arguments
from training_vl.checkpointing import checkpoints
from training_vl.pretraining import pretrain
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


def launch(launcher: list[str], recipe: Path, output_dir: Path, *arguments: str, script: Path = SCRIPT) -> str:
    """Train in new processes and return what they wrote to stderr."""
    command = [*launcher, str(script), str(recipe), "--output_dir", str(output_dir), *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def start_and_kill(recipe: Path, output_dir: Path, *, save_steps: int, script: Path = SCRIPT) -> int:
    """Start a run, kill it in the middle of the steps behind a checkpoint, and return the last step in its log."""
    command = [sys.executable, str(script), str(recipe), "--output_dir", str(output_dir)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while True:
        log = comparable(output_dir)
        step = log[-1]["step"] if log else 0
        if checkpoints(output_dir) and step % save_steps > save_steps // 5:
            break
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return comparable(output_dir)[-1]["step"]


def comparable(output_dir: Path) -> list[dict[str, Any]]:
    """The log without the speed, which is never the same twice."""
    return [
        {name: value for name, value in row.items() if name != "train/examples_per_second"}
        for row in read_log(output_dir)
    ]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()
