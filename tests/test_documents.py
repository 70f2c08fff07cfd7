"""The documents hold together: commands, options, files, links, tables of names; and Sphinx makes a site of them."""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modeling_vl.conversion import CODE_BASES
from tests.documents import (
    DOCS,
    PAGES,
    README,
    ROOT,
    anchors,
    code_blocks,
    command_lines,
    links,
    name,
    quoted,
    script_call,
    section,
    table_rows,
)
from training_vl.tasks import TASKS

OF_SEVERAL_KINDS = ("examples/prepare_task.py", "examples/push_to_hub.py")
"""Their first argument, a benchmark or what is pushed, decides which options there are."""

HELP_OF_ALL = """
import io, json, runpy, sys
from contextlib import redirect_stdout

texts = []
for command in json.load(sys.stdin):
    sys.argv = [*command, "--help"]
    shown = io.StringIO()
    try:
        with redirect_stdout(shown):
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as stop:
        texts.append(shown.getvalue() if not stop.code else f"failed: {stop.code}")
json.dump(texts, sys.stdout)
"""
"""Asks scripts for their options one after the other, so that torch is imported once for all of them."""


def commands() -> Iterator[tuple[Path, list[str]]]:
    """Every command of every page."""
    for page in PAGES:
        for block in code_blocks(page, "bash"):
            for words in command_lines(block):
                yield page, words


def script_calls() -> dict[tuple[str, ...], set[str]]:
    """Options that the documents give to each script, to those of several kinds by kind."""
    calls: dict[tuple[str, ...], set[str]] = {}
    for _, words in commands():
        call = script_call(words)
        if call is None:
            continue
        script, given = call
        command = (script, given[0]) if script in OF_SEVERAL_KINDS else (script,)
        if script == "examples/run_finetuning.py" and any("retrieval" in word or "flickr8k" in word for word in given):
            command = (script, "--task", "retrieval")
        calls.setdefault(command, set()).update(word for word in given if word.startswith("--"))
    return calls


def test_scripts_know_the_options() -> None:
    calls = script_calls()
    assert len(calls) >= 15
    asked = subprocess.run(
        [sys.executable, "-c", HELP_OF_ALL],
        cwd=ROOT,
        input=json.dumps([list(command) for command in calls]),
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stderr
    texts = dict(zip(calls, json.loads(asked.stdout), strict=True))
    unknown = {
        " ".join(command): sorted(options - set(re.findall(r"--[\w-]+", texts[command])))
        for command, options in calls.items()
    }
    assert {command: options for command, options in unknown.items() if options} == {}


def test_every_script_is_shown() -> None:
    """In a command or, as `draw_curves.py`, in the text; `run_demo.py` as `make demo`."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    scripts = {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    shown = set(re.findall(r"examples/\w+\.py", text)) | ({"examples/run_demo.py"} if "make demo" in text else set())
    assert scripts - shown == set()


def test_make_targets_exist() -> None:
    targets = {words[1] for _, words in commands() if words[0] == "make"}
    assert {"demo", "test", "docs"} <= targets
    subprocess.run(["make", "--dry-run", *sorted(targets)], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_named_files_exist(page: Path) -> None:
    """Within the repository: file and heading. To elsewhere: by its form alone, as no test asks the network."""
    faults = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            parts = urlsplit(link)
            if parts.scheme != "https" or "." not in parts.netloc or re.search(r"[\s<>\"]|\.$", link):
                faults.append(link)
            continue
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (heading and heading not in anchors(target)):
            faults.append(link)
    named = re.findall(r"(?:tests/)?examples/[\w/.]+\.(?:py|yaml)", page.read_text(encoding="utf-8"))
    assert faults + [file for file in named if not (ROOT / file).exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ".md" in link]
    assert [name(page) for page in PAGES if page not in reached] == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_every_task_has_a_row_and_a_page() -> None:
    rows = table_rows((DOCS / "tasks.md").read_text(encoding="utf-8"))
    assert {task for row in rows for task in quoted(row[0])} == {*TASKS, "retrieval"}
    recipes = [path.stem for path in (ROOT / "examples" / "recipes").glob("*.yaml")]
    assert [pattern for row in rows for pattern in quoted(row[5]) if not fnmatch.filter(recipes, pattern)] == []
    for page in (DOCS / "tasks").glob("*.md"):
        assert "predict(" in section(page, "Predict"), f"{name(page)} does not show predict"


def test_every_recipe_is_named() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    patterns = set(re.findall(r"`(\w+\*)`", text))
    recipes = [path.name for path in (ROOT / "examples" / "recipes").glob("*.yaml")]
    assert [
        recipe
        for recipe in recipes
        if recipe not in text and not any(fnmatch.fnmatch(recipe, pattern) for pattern in patterns)
    ] == []


def test_the_conversions_are_those_of_the_converter() -> None:
    page = DOCS / "conversion.md"
    rows = table_rows(page.read_text(encoding="utf-8"))
    assert {row[0].strip("`"): quoted(row[2]) for row in rows} == {
        key: code_base.tasks for key, code_base in CODE_BASES.items()
    }
    converted = {
        options[options.index("--source") + 1]
        for of_page, words in commands()
        if of_page == page and "--source" in words
        for options in [script_call(words)[1]]
    }
    assert converted == set(CODE_BASES)


def test_sphinx_makes_a_site_without_a_warning(tmp_path: Path) -> None:
    """Unknown links and headings, pages in no table of contents, and broken docstrings are warnings."""
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            "-q",
            "-W",
            "--keep-going",
            "-d",
            tmp_path / "cache",
            DOCS,
            tmp_path / "site",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    pages = {path.relative_to(tmp_path / "site").with_suffix(".md").as_posix() for path in tmp_path.rglob("*.html")}
    assert {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)} <= pages
