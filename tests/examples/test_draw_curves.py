from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from examples.draw_curves import Curve, draw, read_curves

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = [{"step": 1, "train/loss": 3.0}, {"step": 2, "train/loss": 2.0}, {"step": 2, "eval/accuracy": 0.25}]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES))
    return tmp_path


def test_numbers_are_read_by_name(run: Path) -> None:
    assert read_curves(run) == {"train/loss": Curve([1, 2], [3.0, 2.0]), "eval/accuracy": Curve([2], [0.25])}


def test_a_picture_is_drawn(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'demo' draws pictures")
    picture = tmp_path / "curves.png"
    command = [sys.executable, "examples/draw_curves.py", str(picture), f"mine={run}", "--scores", "accuracy"]
    subprocess.run(command, cwd=ROOT, check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_score_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has not logged 'recall' but accuracy"):
        draw(tmp_path / "curves.png", {"mine": run}, ["recall"])


def test_a_folder_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder of a training run: it has no log\.jsonl"):
        read_curves(tmp_path)
