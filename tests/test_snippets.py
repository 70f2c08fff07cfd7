"""The code of the documents runs: every Python block, and the commands that take a moment, in the order of their page.

A page runs in a folder of its own that holds what `documented_folders` lists. Commands of the scripts in `QUICK` are
run with it; those that train or measure are held against the options of their scripts by `test_documents.py`. What a
block prints is compared in its form with the comment behind the `print`: as many entries, the same keys and types.
"""

from __future__ import annotations

import ast
import io
import os
import re
import runpy
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.local import LocalRegions
from datasets_vl.parquet import RegionFeaturesMetadata
from tests.documented_folders import make_folders
from tests.documents import PAGES, README, ROOT, Block, code_blocks, command_lines, name, script_call

QUICK = (
    "examples/convert_checkpoint.py",
    "examples/convert_region_features.py",
    "examples/export.py",
    "examples/prepare_task.py",
    "examples/write_task_texts.py",
)
PAGES_WITH_CODE = [page for page in PAGES if code_blocks(page, "python", "bash")]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("documented")
    make_folders(root)
    return root


@pytest.fixture
def here(everything: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to run in."""
    folder = tmp_path / "here"
    shutil.copytree(everything, folder, copy_function=os.link)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    return folder


def promised(block: Block, statement: ast.stmt) -> Any:
    """What the comment behind a `print` says it prints; None where there is no such comment."""
    if not (isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("print(")):
        return None
    lines = block.text.splitlines()[statement.end_lineno - block.line + 1 :]
    if not lines or not lines[0].startswith("# "):
        return None
    return ast.literal_eval(lines[0].removeprefix("# "))


def check_form(got: Any, expected: Any, place: str) -> None:
    assert type(got) is type(expected), f"{place}: {got!r} has another type than {expected!r}"
    if isinstance(expected, bool):
        assert got is expected, place
    elif isinstance(expected, dict):
        assert got.keys() == expected.keys(), place
        for key, value in expected.items():
            check_form(got[key], value, f"{place}[{key!r}]")
    elif isinstance(expected, list):
        assert len(got) == len(expected), f"{place}: {got!r} is not as long as {expected!r}"
        for number, value in enumerate(expected):
            check_form(got[number], value, f"{place}[{number}]")


def run_python(block: Block, names: dict[str, Any]) -> list[str]:
    """Runs a block statement by statement; what each print printed."""
    printed = []
    for statement in ast.parse("\n" * (block.line - 1) + block.text).body:
        output = io.StringIO()
        with redirect_stdout(output):
            exec(compile(ast.Module([statement], []), str(block.page), "exec"), names)
        if output.getvalue():
            printed.append(output.getvalue())
        expected = promised(block, statement)
        if expected is not None:
            place = f"{name(block.page)}:{statement.lineno}"
            check_form(ast.literal_eval(output.getvalue()), expected, place)
    return printed


def run_command(words: list[str]) -> None:
    """Runs a command of a quick script in this process, which saves the imports."""
    call = script_call(words)
    if call is None or call[0] not in QUICK:
        return
    sys.argv = [call[0], *call[1]]
    try:
        runpy.run_path(str(ROOT / call[0]), run_name="__main__")
    except SystemExit as stop:
        assert not stop.code, f"{' '.join(words)}: {stop.code}"


def run_page(page: Path) -> tuple[dict[str, Any], list[str]]:
    """Runs a page; the names it leaves, and what it printed."""
    names: dict[str, Any] = {"__name__": name(page)}
    printed = []
    for block in code_blocks(page, "python", "bash"):
        if block.not_run is None and block.language == "python":
            printed += run_python(block, names)
        elif block.not_run is None:
            for words in command_lines(block):
                run_command(words)
    return names, printed


@pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=name)
def test_the_code_of_a_page_runs(page: Path, here: Path) -> None:
    run_page(page)


def test_the_readme_scores_two_texts_and_keeps_its_own_features(here: Path) -> None:
    names, printed = run_page(README)
    (scores,) = printed
    assert re.fullmatch(r"tensor\(\[0\.\d+, 0\.\d+\]\)\n", scores), scores
    images = LocalRegions(here / "features" / "mine")
    assert [image.image_id for image in images] == ["kitchen", "garden"]
    assert images[0].features.shape == (2, 2048)
    assert images.metadata == RegionFeaturesMetadata(feature_dim=2048, detector="mine")
    assert (images[1].boxes == names["regions"].boxes).all()


def python(text: str, not_run: str | None = None) -> Block:
    return Block(README, 100, "python", text, not_run)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print([1])\n# [1, 2]\n", r"README.md:100: \[1\] is not as long"),
        ("x = 1\nprint([{'a': x}])\n# [{'a': 0.5}]\n", r"README.md:101\[0\]\['a'\]: 1 has another type"),
        ("print({'a': 1})\n# {'b': 1}\n", "README.md:100"),
        ("print(1 > 2)\n# True\n", "README.md:100"),
    ],
)
def test_another_form_is_found_out(text: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        run_python(python(text), {})


def test_a_fault_is_told_with_its_line() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_python(python("x = 0\n\n1 / x\n"), {})
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno + 1) == (README, 102)


def test_every_exception_has_a_reason() -> None:
    blocks = [block for page in PAGES for block in code_blocks(page, "python", "bash")]
    assert len(blocks) > 40
    left_out = [block for block in blocks if block.not_run is not None]
    assert [block for block in left_out if len(block.not_run.split()) < 3] == []
    for block in left_out:
        if block.language == "python":
            ast.parse(block.text)
