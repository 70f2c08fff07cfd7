"""Fine-tuning runs in this process; others go through `pretraining_runs.launch`'s environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.pretraining_runs import ROOT, comparable
from training_vl.finetuning import fine_tune
from training_vl.task_arguments import parse_task_arguments

SCRIPT = ROOT / "examples" / "run_finetuning.py"


def run_here(recipe: Path, output_dir: Path, *arguments: str) -> list[dict[str, Any]]:
    """Train in this process and return the log."""
    fine_tune(parse_task_arguments([str(recipe), "--output_dir", str(output_dir), *arguments]))
    return comparable(output_dir)


def history(output_dir: Path, step: int) -> list[dict[str, Any]]:
    """What the Trainer logged up to a checkpoint, without how fast it was."""
    state = json.loads((output_dir / f"checkpoint-{step}" / "trainer_state.json").read_text())
    return [{name: value for name, value in row.items() if "per_second" not in name} for row in state["log_history"]]
