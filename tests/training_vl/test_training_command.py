"""Scripts that train or measure tell mistakes without loading torch, and end on Ctrl-C as shells expect."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from training_vl.training_command import training_command

EXAMPLES = Path(__file__).parents[2] / "examples"

SAY_WHETHER_TORCH_IS_LOADED = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("script", "words", "told"),
    [
        ("run_pretraining.py", ["--config", "vilbert"], "ValueError: 4 arguments are missing"),
        ("run_finetuning.py", ["--task", "vqa"], "ValueError: where shall the model go"),
        ("run_finetuning.py", ["--task", "retrieval", "--outputdir", "x"], "did you mean --output_dir?"),
        ("run_multi_task.py", ["--tasks", "{}"], "ValueError: where shall the model go"),
        ("run_with_trainer.py", ["--output_dir", "x", "--regions", "no"], "regions: there is no folder no"),
        ("run_retrieval.py", ["model"], "ValueError: regions is missing"),
        ("run_evaluation.py", ["model", "--tsk", "vqa"], "did you mean --task?"),
    ],
)
def test_mistakes_are_told_without_torch(script: str, words: list[str], told: str) -> None:
    command = [sys.executable, "-c", SAY_WHETHER_TORCH_IS_LOADED, str(EXAMPLES / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 2)
    assert done.stdout == "False\n"


def test_ctrl_c_ends_in_130_and_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(words: Sequence[str]) -> None:
        assert words == ["--config", "vilbert"]
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["run.py", "--config", "vilbert"])
    with pytest.raises(SystemExit) as stopped:
        training_command(interrupted)
    assert stopped.value.code == 130
    assert "start again with --resume_from_checkpoint latest" in capsys.readouterr().err
