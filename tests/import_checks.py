"""Who imports whom: reads the imports of source files and holds them against the order of the floors.

Every check takes the root of a source tree and returns its findings as lines `file:line: what is wrong`.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGES = (
    "configuration_vl",
    "processing_vl",
    "metrics_vl",
    "datasets_vl",
    "modeling_vl",
    "training_vl",
    "hub_cards",
)
ROOMS = (*PACKAGES, "examples", "benchmarks")
"""The rooms of the house, ground floor first: a room imports only from rooms before it."""

TRAVELLING_FOLDERS = ("configuration_vl", "processing_vl", "modeling_vl")
"""Folders whose top-level files go to the Hub beside a checkpoint, all in one flat folder."""

TORCH_FREE = ("configuration_vl/*.py", "processing_vl/region_features.py", "datasets_vl/readers/*.py")
"""Files that serve people without torch: what a model is, and region features from raw files."""

MAX_LINES = 450


class Import(NamedTuple):
    """One imported module, as an absolute dotted name.

    Attributes:
        module: What is imported, for example `processing_vl.masking`.
        line: Line of the import statement.
        travels: Whether the statement has a form that the Hub's loader of remote code can follow between files of one
            project: `from .x import y` or `from package.x import y`.
    """

    module: str
    line: int
    travels: bool

    @property
    def top_level(self) -> str:
        """The name before the first dot."""
        return self.module.partition(".")[0]


def source_files(root: Path, *folders: str) -> list[Path]:
    """Python files below the given folders of `root`, sorted."""
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def place(path: Path, root: Path, line: int = 1) -> str:
    """Where a finding is, as `file:line` relative to `root`."""
    return f"{path.relative_to(root).as_posix()}:{line}"


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands: in functions and under `TYPE_CHECKING` too.

    `importlib.import_module("name")` counts as an import as well.
    """
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield Import(name.name, node.lineno, travels=False)
            case ast.ImportFrom(module=module, level=0):
                yield Import(module, node.lineno, travels=module.count(".") == 1)
            case ast.ImportFrom(module=module, level=level):
                parent = package[: len(package) - level + 1]
                travels = level == 1 and module is not None and "." not in module
                if module is not None:
                    yield Import(".".join((*parent, module)), node.lineno, travels)
                else:
                    for name in node.names:
                        yield Import(".".join((*parent, name.name)), node.lineno, travels)
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield Import(module, node.lineno, travels=False)


def upward_imports(root: Path) -> list[str]:
    """Imports of a room from a room above it, or from the tests."""
    findings = []
    for floor, room in enumerate(ROOMS):
        forbidden = {*ROOMS[floor + 1 :], "tests"}
        for path in source_files(root, room):
            for imported in imports_of(path, root):
                if imported.top_level in forbidden:
                    findings.append(f"{place(path, root, imported.line)}: {room} must not import {imported.module}")
    return findings


def torch_imports(root: Path) -> list[str]:
    """Imports of torch in files that promise to do without it."""
    return [
        f"{place(path, root, imported.line)}: must work without torch"
        for pattern in TORCH_FREE
        for path in sorted(root.glob(pattern))
        for imported in imports_of(path, root)
        if imported.top_level == "torch"
    ]


def travelling_files(root: Path) -> list[Path]:
    """The files that go to the Hub beside a checkpoint."""
    return [
        path
        for folder in TRAVELLING_FOLDERS
        for path in sorted((root / folder).glob("*.py"))
        if path.name != "__init__.py"
    ]


def shared_basenames(root: Path) -> list[str]:
    """Travelling files whose name another file of the packages has too: one would overwrite the other on the Hub."""
    by_name = defaultdict(list)
    for path in source_files(root, *PACKAGES):
        by_name[path.name].append(place(path, root))
    return [
        f"{place(path, root)}: its file name is not unique: {', '.join(by_name[path.name])}"
        for path in travelling_files(root)
        if len(by_name[path.name]) > 1
    ]


def imports_lost_on_the_hub(root: Path) -> list[str]:
    """Imports between travelling files in a form that the Hub's loader of remote code does not follow."""
    return [
        f"{place(path, root, imported.line)}: not `from .x import y` or `from package.x import y`"
        for path in travelling_files(root)
        for imported in imports_of(path, root)
        if imported.top_level in ROOMS and not imported.travels
    ]


def long_files(root: Path) -> list[str]:
    """Files of more than `MAX_LINES` lines: they hold more than one concept."""
    findings = []
    for path in source_files(root, *ROOMS, "tests"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            findings.append(f"{place(path, root)}: {lines} lines, at most {MAX_LINES} are allowed")
    return findings
