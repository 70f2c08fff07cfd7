"""Which code is running: for files that say what made them."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("modeling-vl", "torch", "transformers")


def code_commit(file: str | Path = __file__) -> str | None:
    """The git commit of the code.

    Args:
        file: A source file of it.

    Returns:
        The commit in hexadecimal, followed by " with changes" where a file of it was changed since; None where the
        file is no part of a git repository, such as in an installed package, or there is no git.
    """
    file = Path(file).resolve()
    try:
        # An installed package may lie in a folder of somebody else's repository, whose commit says nothing about it.
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        commit = _git(file.parent, "rev-parse", "HEAD")
        changed = _git(file.parent, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit} with changes" if changed else commit


def library_versions() -> dict[str, str]:
    """Versions of this package and of those that its numbers depend on, as far as they are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
