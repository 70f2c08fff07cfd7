"""What the README tells a stranger to type exists: scripts, options, files, make targets and imported names."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks in one language, continued lines joined."""
    return [block.replace("\\\n", " ") for block in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)]


def script_calls() -> dict[str, list[str]]:
    """Arguments that the README's commands give to each script, by script."""
    calls: dict[str, list[str]] = {}
    for line in "\n".join(blocks("bash")).splitlines():
        words = shlex.split(line, comments=True)
        scripts = [word for word in words if word.endswith(".py")]
        for script in scripts:
            calls.setdefault(script, []).extend(words[words.index(script) + 1 :])
    return calls


def test_the_commands_are_seen() -> None:
    assert len(script_calls()) >= 3
    assert len(blocks("python")) >= 1


@pytest.mark.parametrize("script", sorted(script_calls()))
def test_scripts_know_the_options(script: str) -> None:
    shown = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    options = {word for word in script_calls()[script] if word.startswith("--")}
    assert options <= set(re.findall(r"--[\w-]+", shown.stdout))


def test_files_exist() -> None:
    links = {link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link}
    named = set(re.findall(r"examples/[\w/.]+\.(?:py|yaml)", README))
    missing = [name for name in sorted(links | named) if not (ROOT / name).exists()]
    assert not missing, f"the README names files that do not exist: {missing}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE))
    assert targets == {"demo", "test"}
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)


def test_imported_names_exist() -> None:
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module} has no {name.name}"
