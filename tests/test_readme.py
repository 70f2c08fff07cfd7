"""What README and docs/tasks.md tell a stranger to type works: commands, options, files, make targets, Python code."""

from __future__ import annotations

import ast
import fnmatch
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from configuration_vl import ViLBertConfig
from datasets_vl.convert import Conversion, convert
from datasets_vl.local import LocalRegions
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.readers import READERS
from datasets_vl.scene_files import write_scenes
from examples import run_demo
from modeling_vl import ViLBertForPreTraining
from modeling_vl.conversion import CODE_BASES
from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.tiny_models import vilbert_config
from training_vl import parse_pretraining_arguments
from training_vl.data_setup import check_data_fit
from training_vl.model_setup import load_config
from training_vl.tasks import TASKS
from training_vl.word_tokenizer import save_word_tokenizer

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TASKS_DOCUMENT = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")

BENCHMARK_SCRIPT = "examples/prepare_task.py"
"""Its first argument, a benchmark, decides which options there are."""


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a text in one language, continued lines joined."""
    return [block.replace("\\\n", " ") for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]


def script_calls() -> dict[tuple[str, ...], set[str]]:
    """Options that the commands of both documents give to each script, `prepare_task.py` by benchmark."""
    calls: dict[tuple[str, ...], set[str]] = {}
    for line in "\n".join([*blocks("bash"), *blocks("bash", TASKS_DOCUMENT)]).splitlines():
        words = shlex.split(line, comments=True)
        for script in (word for word in words if word.endswith(".py")):
            given = words[words.index(script) + 1 :]
            command = (script, given[0]) if script == BENCHMARK_SCRIPT else (script,)
            if "retrieval" in line and script.endswith("run_finetuning.py"):
                command = (script, "--task", "retrieval")
            calls.setdefault(command, set()).update(word for word in given if word.startswith("--"))
    return calls


def test_the_commands_are_seen() -> None:
    assert len(script_calls()) >= 3
    assert len(blocks("python")) >= 1


@pytest.mark.parametrize("command", sorted(script_calls()), ids=" ".join)
def test_scripts_know_the_options(command: tuple[str, ...]) -> None:
    shown = subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert script_calls()[command] <= set(re.findall(r"--[\w-]+", shown.stdout))


@pytest.mark.parametrize("document", ["README.md", "docs/tasks.md"])
def test_files_exist(document: str) -> None:
    path = ROOT / document
    text = path.read_text(encoding="utf-8")
    links = {path.parent / link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link}
    named = {ROOT / name for name in re.findall(r"examples/[\w/.]+\.(?:py|yaml)", text)}
    missing = [str(name) for name in sorted(links | named) if not name.exists()]
    assert not missing, f"{document} names files that do not exist: {missing}"


def test_every_task_and_recipe_is_in_the_document() -> None:
    table = TASKS_DOCUMENT.partition("## The tasks")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row[1])} == {*TASKS, "retrieval"}
    patterns = [pattern for row in rows for pattern in re.findall(r"`([^`]+)`", row[5])]
    recipes = [path.stem for path in (ROOT / "examples" / "recipes").glob("*.yaml")]
    assert [pattern for pattern in patterns if not fnmatch.filter(recipes, pattern)] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE))
    assert targets == {"demo", "test"}
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)


def test_imported_names_exist() -> None:
    for block in [*blocks("python"), *blocks("python", TASKS_DOCUMENT)]:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                for name in node.names:
                    importlib.import_module(name.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module} has no {name.name}"


def section(title: str) -> str:
    """The text below a heading."""
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def run_code_of(title: str) -> dict:
    """Executes the Python code of a section; the names it leaves."""
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", section(title), re.DOTALL)[1], names)
    return names


def test_the_quick_start_runs_on_what_the_demo_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a smaller model, with the files where the demo puts them."""
    demo = tmp_path / "demo_output"
    write_scenes(demo / "raw", {"train": 1, "val": 3}, feature_dim=20, progress=False)
    source = Conversion(source=str(demo / "raw" / "scenes_val.tsv"), format="tsv")
    convert(source, demo / "regions" / "val", show_progress=False)
    save_word_tokenizer(demo / "raw" / "dataset_scenes.json", demo / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(demo / "tokenizer")
    config = vilbert_config(vocab_size=len(tokenizer))
    ViLBertForPreTraining(config).save_pretrained(demo / "vilbert")
    extractor = RegionFeatureExtractor.from_model_config(config)
    RegionTextProcessor(extractor, tokenizer).save_pretrained(demo / "vilbert")

    monkeypatch.chdir(tmp_path)
    run_code_of("Quick start")
    printed = capsys.readouterr().out
    assert re.fullmatch(r"tensor\(\[0\.\d+, 0\.\d+\]\)\n", printed), printed


def test_the_demo_writes_where_the_quick_start_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run_demo.py"])
    folder = run_demo.parse_arguments().output
    read = set(re.findall(r'"(demo_output/[^"]*)"', section("Quick start")))
    assert read == {str(folder / run_demo.MODELS["ViLBERT"]), str(run_demo.shards(folder, "val"))}


def test_own_features_are_written_and_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_code_of("My own features")
    assert capsys.readouterr().out == "(2, 2048)\n"
    images = LocalRegions(tmp_path / "features" / "mine")
    assert [image.image_id for image in images] == ["kitchen", "garden"]
    assert images.metadata == RegionFeaturesMetadata(feature_dim=2048, detector="mine")
    assert (images[1].boxes == names["regions"].boxes).all()


def test_features_without_class_probabilities_fit_the_pretraining_command() -> None:
    command = next(line for line in "\n".join(blocks("bash")).splitlines() if "--config_overrides" in line)
    words = shlex.split(command, comments=True)
    arguments = parse_pretraining_arguments(words[words.index("examples/run_pretraining.py") + 1 :])
    features = RegionFeaturesMetadata(feature_dim=2048)
    check_data_fit(features, load_config(arguments.model), "train_obj36.tsv")
    with pytest.raises(ValueError, match="no class_probs"):
        check_data_fit(features, ViLBertConfig(), "train_obj36.tsv")


def test_code_bases_are_named_as_the_converter_wants_them() -> None:
    text = section("Original checkpoints")
    assert set(re.findall(r"`(\w+)`", text.partition("The converter")[0])) - {"visual_bert"} == set(CODE_BASES)
    formats = section("Region features: from any public format to one").partition("Formats:")[2].partition("[")[0]
    assert set(re.findall(r"`(\w+)`", formats)) == set(READERS)
