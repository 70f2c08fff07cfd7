"""The documents and what stands in them: code blocks, commands, links and headings.

A code block that no test runs has the reason beside it, in a comment that readers of the page do not see:

    <!-- not run: pushing needs an account -->
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from myst_parser.slugs import github_slugify, unique_slug

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_NOT_RUN = re.compile(r"<!--\s*not run:\s*(?P<reason>.*?)\s*-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced code block; `line` is where its code begins in the page, from 1, `not_run` why it is not run."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def code_blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in some languages, in their order."""
    found, before = [], None
    for token in tokens(page):
        if token.type == "fence" and token.info.strip() in languages:
            said = _NOT_RUN.search(before.content) if before is not None and before.type == "html_block" else None
            reason = None if said is None else said["reason"]
            found.append(Block(page, token.map[0] + 2, token.info.strip(), token.content, reason))
        before = token
    return found


def command_lines(block: Block) -> Iterator[list[str]]:
    """The words of every command of a bash block, continued lines joined and comments left out."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def script_call(words: list[str]) -> tuple[str, list[str]] | None:
    """The script of `examples` that a command runs, and what it is given; None for other commands."""
    for number, word in enumerate(words):
        if word.startswith("examples/") and word.endswith(".py"):
            return word, words[number + 1 :]
    return None


def _inline(page: Path) -> Iterator[Token]:
    for token in tokens(page):
        yield from token.children or ()


def links(page: Path) -> list[str]:
    """Where the links and pictures of a page lead to."""
    return [
        str(token.attrs.get("href", token.attrs.get("src")))
        for token in _inline(page)
        if token.type in ("link_open", "image")
    ]


@cache
def anchors(page: Path) -> set[str]:
    """What a link to a page can name behind `#`: its headings, as GitHub and the site spell them."""
    slugs: set[str] = set()
    for token, content in zip(tokens(page), tokens(page)[1:], strict=False):
        if token.type == "heading_open":
            text = "".join(child.content for child in content.children or () if child.type in ("text", "code_inline"))
            slugs.add(unique_slug(github_slugify(text), slugs))
    return slugs


def table_rows(text: str) -> list[list[str]]:
    """Cells of all rows of the tables in a text, without headings and rulers."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    rulers = [number for number, row in enumerate(cells) if set("".join(row)) <= set("-:")]
    return [row for number, row in enumerate(cells) if number not in rulers and number + 1 not in rulers]


def quoted(text: str) -> list[str]:
    """Names in code font, those of a list one by one."""
    return [code.strip() for codes in re.findall(r"`([^`]+)`", text) for code in codes.split(",")]


def section(page: Path, title: str) -> str:
    """The text below a heading of the second level, subsections included; empty where there is none."""
    return page.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
