from __future__ import annotations

import ast
from pathlib import Path

import pytest

from metrics_vl.metric_folder import metric_names, write_metric_folder
from tests.import_checks import PACKAGES


def imported(path: Path) -> set[str]:
    """What a file imports, each as written before `import`."""
    tree = ast.parse(path.read_text())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    plain = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    return {f"{'.' * node.level}{node.module}" for node in froms} | set(plain)


@pytest.mark.parametrize("name", metric_names())
def test_the_folder_needs_none_of_our_packages(name: str, tmp_path: Path) -> None:
    """And the metric's own file names all others: evaluate fetches no further ones."""
    written = write_metric_folder(name, tmp_path / name)
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == [path.name for path in written]
    metric = tmp_path / name / f"{name}.py"
    assert {f".{path.stem}" for path in written if path != metric} == {
        module for module in imported(metric) if module.startswith(".")
    }
    tops = {module.partition(".")[0] for path in written for module in imported(path)}
    assert not tops & set(PACKAGES)


def test_it_can_be_written_again(tmp_path: Path) -> None:
    first = {path: path.read_bytes() for path in write_metric_folder("phrase_recall", tmp_path / "phrase_recall")}
    again = {path: path.read_bytes() for path in write_metric_folder("phrase_recall", tmp_path / "phrase_recall")}
    assert again == first
    assert len(first) > 4


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no metric 'accuracy', only gqa_accuracy, nlvr2_accuracy, "):
        write_metric_folder("accuracy", tmp_path / "accuracy")
    with pytest.raises(ValueError, match="the folder of vqa_accuracy must be called vqa_accuracy, as evaluate looks"):
        write_metric_folder("vqa_accuracy", tmp_path / "vqa")
    (tmp_path / "vqa_accuracy").mkdir()
    (tmp_path / "vqa_accuracy" / "shares.py").write_text("MINE = 1\n")
    with pytest.raises(FileExistsError, match=r"shares\.py"):
        write_metric_folder("vqa_accuracy", tmp_path / "vqa_accuracy")
    assert (tmp_path / "vqa_accuracy" / "shares.py").read_text() == "MINE = 1\n"
