"""Flat copies of Python files, so that code of several packages travels in one folder."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

MARK = "# From the package modeling-vl: a copy that works without the package, in one flat folder.\n"
"""First line of every copy: what bears it may be overwritten. With another line, no older copy could be."""


def write_flat_copies(
    folder: Path, roots: Iterable[Path], packages: Mapping[str, Path], links: Mapping[Path, Iterable[str]]
) -> list[Path]:
    """Copy files, and whatever they import of the given packages, into one folder.

    Imports between the files become `from .x import y`, the only form that the Hub's loader of remote code follows
    within a folder; all else stays as it is. A file that is a copy itself is copied as it is.

    Args:
        folder: Where to write; made when missing.
        roots: Files to begin with.
        packages: Folders of the packages whose files travel, by the packages' names.
        links: Import statements to add to a copy. They are never run: a loader that copies a file copies what they
            name as well.

    Returns:
        The copies, sorted.

    Raises:
        FileExistsError: A file of that name, which is no copy, lies in the folder.
        ValueError: An import between files of the packages has a form that does not work in a flat folder, or two
            files have the same name.
    """
    sources: dict[str, tuple[Path, str, str]] = {}  # file name: the file, its text, the text of its copy
    waiting = sorted(roots)
    while waiting:
        path = waiting.pop()
        known = sources.get(path.name)
        if known is None:
            raw = path.read_text(encoding="utf-8")
            text, needed = _flatten(path, raw, packages)
            if not raw.startswith(MARK):
                text = MARK + _with_links(text, links.get(path, ()))
            sources[path.name] = (path, raw, text)
            waiting += needed
        elif known[0] != path:
            raise ValueError(f"{known[0]} and {path} have the same name, and would overwrite each other in {folder}")
    copies = {folder / name: text for name, (_, _, text) in sources.items()}
    _check_overwritten(copies, {raw for _, raw, _ in sources.values()})
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in copies.items():
        _write(path, text)
    return sorted(copies)


def is_flat_copy(path: Path) -> bool:
    """Whether a file was written by `write_flat_copies`, here or elsewhere."""
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


def _flatten(path: Path, source: str, packages: Mapping[str, Path]) -> tuple[str, list[Path]]:
    """The text with flat imports, and the files it imports."""
    tops = {package.partition(".")[0] for package in packages}
    lines = source.splitlines(keepends=True)
    needed = []
    for node in _import_statements(path, source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in tops:
                    raise _does_not_travel(path, node, f"import {alias.name}")
        else:
            written = f"from {'.' * node.level}{node.module or ''} import"
            if node.level:
                if node.level > 1 or node.module is None or "." in node.module:
                    raise _does_not_travel(path, node, written)
                needed.append(path.with_name(f"{node.module}.py"))
            elif node.module.partition(".")[0] in tops:
                package, _, name = node.module.rpartition(".")
                line = lines[node.lineno - 1]
                if package not in packages or written not in line:
                    raise _does_not_travel(path, node, written)
                lines[node.lineno - 1] = line.replace(written, f"from .{name} import", 1)
                needed.append(packages[package] / f"{name}.py")
    missing = [str(file) for file in needed if not file.is_file()]
    if missing:
        raise ValueError(f"{path} imports {missing}, which are no files: only files can travel with a checkpoint")
    return "".join(lines), needed


@cache
def _import_statements(path: Path, source: str) -> list[ast.Import | ast.ImportFrom]:
    """All imports of a file, parsed once: a training saves the same files many times."""
    tree = ast.parse(source, filename=str(path))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _does_not_travel(path: Path, node: ast.stmt, written: str) -> ValueError:
    return ValueError(
        f"{path}:{node.lineno}: `{written}` does not work in the one flat folder of a checkpoint; write "
        "`from .file import name` or `from package.file import name` on one line"
    )


def _with_links(text: str, links: Iterable[str]) -> str:
    block = "".join(f"    {link}\n" for link in links)
    if not block:
        return text
    return (
        f"{text}\n\nfrom typing import TYPE_CHECKING\n\n"
        f"if TYPE_CHECKING:  # never run: keeps the files together when a loaded model is saved again\n{block}"
    )


def _check_overwritten(copies: Iterable[Path], own: set[str]) -> None:
    for path in copies:
        if path.is_file():
            present = path.read_text(encoding="utf-8", errors="replace")
            if not present.startswith(MARK) and present not in own:
                raise FileExistsError(
                    f"{path} is not a file that travels with a checkpoint, and would be overwritten by one: save into "
                    "another folder, or move it away"
                )


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all; one that is right already keeps its date."""
    if path.is_file() and path.read_bytes() == text.encode():
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(text.encode())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
