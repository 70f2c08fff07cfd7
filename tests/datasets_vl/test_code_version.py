"""The commit of the code is that of its own repository, and of no other that it happens to lie in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch

from datasets_vl.code_version import code_commit, library_versions


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    done = subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_commit_of_a_file(tmp_path: Path) -> None:
    installed = tmp_path / "venv" / "code.py"
    installed.parent.mkdir()
    for file in (installed, tmp_path / "code.py"):
        file.write_text("x = 1\n")
    assert code_commit(tmp_path / "code.py") is None
    git(tmp_path, "init")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert code_commit(tmp_path / "code.py") == commit
    assert code_commit(installed) is None
    (tmp_path / "code.py").write_text("x = 2\n")
    assert code_commit(tmp_path / "code.py") == f"{commit} with changes"


def test_versions_are_those_that_run() -> None:
    versions = library_versions()
    assert set(versions) == {"modeling-vl", "torch", "transformers"}
    assert versions["torch"] == torch.__version__
