"""A metric as one folder that needs none of these packages, to be copied, or pushed to a Space of its name."""

from __future__ import annotations

import ast
from pathlib import Path

from configuration_vl.hub_files import write_flat_copies

_HERE = Path(__file__).parent
_PACKAGES = {name: _HERE.parent / name for name in ("configuration_vl", "processing_vl", "metrics_vl")}


def metric_names() -> list[str]:
    """The metrics there are: folders whose Python file bears their name."""
    return sorted(path.stem for path in _HERE.glob("*/*.py") if path.stem == path.parent.name)


def write_metric_folder(name: str, folder: str | Path) -> list[Path]:
    """Write the files that `evaluate.load(folder)` needs where these packages are not installed.

    `evaluate.load("user/name")` reads the same files from a Space, which must be called as the metric:
    `datasets_vl.hub_push.push_folder(folder, f"user/{name}", kind="space", replaces=["*.py"])`.

    Args:
        name: Of the metric, for example "vqa_accuracy".
        folder: Where to write, made when missing; its own name must be `name`, as `evaluate` looks for the file of
            the folder's name.

    Returns:
        The files.

    Raises:
        ValueError: There is no such metric, or the folder has another name.
        FileExistsError: A file in the folder would be overwritten that is no such copy.
    """
    if name not in metric_names():
        raise ValueError(f"there is no metric {name!r}, only {', '.join(metric_names())}")
    folder = Path(folder)
    if folder.resolve().name != name:
        raise ValueError(
            f"the folder of {name} must be called {name}, as evaluate looks for the file of that name: {folder}"
        )
    copies = write_flat_copies(folder, [_HERE / name / f"{name}.py"], _PACKAGES, {})
    metric = folder / f"{name}.py"
    metric.write_text(metric.read_text(encoding="utf-8") + _further_imports(metric, copies), encoding="utf-8")
    return copies


def _further_imports(metric: Path, copies: list[Path]) -> str:
    """Imports of what only other copies import: `evaluate` fetches the files that the metric's own file names."""
    needed = {module: name for path in copies for module, name in _siblings(path).items()}
    lines = [f"from .{module} import {needed[module]}\n" for module in sorted(needed.keys() - _siblings(metric))]
    note = "# Not used here, but by the files above: evaluate fetches only files that this one imports."
    return f"\n{note}\n{''.join(lines)}" if lines else ""


def _siblings(path: Path) -> dict[str, str]:
    """Files beside `path` that it imports, and a name that each has."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module: node.names[0].name for node in nodes if isinstance(node, ast.ImportFrom) and node.level}
