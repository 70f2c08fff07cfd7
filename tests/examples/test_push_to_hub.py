"""What the script pushes with its cards, and how people use it who have none of our packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import metrics_vl
from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from examples import push_to_hub
from modeling_vl import ViLBertForRegionGrounding
from tests.hub.hub import ROOT, Hub
from tests.hub_cards.saved_models import GIVEN, add_run, save_model
from tests.random_regions import random_regions
from tests.tiny_models import FEATURES

FACTS = {
    "model": {name: value for name, value in GIVEN.items() if name != "scores"},
    "dataset": {
        "data_license": "cc0-1.0",
        "images_license": "none, they do not exist",
        "images": "random numbers",
        "intended_use": "Tests.",
        "limits": "Everything else.",
    },
    "metric": {"intended_use": "Tests.", "limits": "Everything else.", "code_commit": "0123abc"},
    "space": {
        "model": "someone/grounding",
        "texts": ["the dog on the left"],
        "images_license": "none, they do not exist",
        "intended_use": "Tests.",
        "limits": "Everything else.",
    },
}

PUSH = """
import json, sys
from examples import push_to_hub

for words in json.loads(sys.argv[1]):
    sys.argv = ["push_to_hub.py", *words]
    try:
        push_to_hub.main()
    except SystemExit as end:
        print(f"ended: {end.code}")
"""

USE = """
import json, re, sys
from tests.integration import load_remotely  # hides our packages
from pathlib import Path
from huggingface_hub import DatasetCard, ModelCard, SpaceCard, snapshot_download

def code(card, number=0):
    return re.findall(r"```python\\n(.*?)```", card.text, re.DOTALL)[number]

seen = {}
card = ModelCard.load("someone/grounding")
(result,) = card.data.eval_results
seen["model"] = [card.data.license, result.dataset_name, result.metric_name, result.metric_value]
names = {}
exec(code(card), names)
seen["class"] = type(names["model"]).__module__ + "." + type(names["model"]).__name__
card = DatasetCard.load("someone/features")
seen["dataset"] = [card.data.license, card.data.configs[0]["data_files"]]
names = {}
exec(code(card), names)
seen["row"] = [names["row"]["image_id"], names["features"].tolist()]
card = SpaceCard.load("someone/snli_ve_accuracy", repo_type="space")
names = {}
exec(code(card), names)
rows = {"example_ids": ["a", "b"], "predictions": ["neutral"] * 2, "references": ["neutral", "entailment"]}
scores = names["metric"].compute(**rows)
seen["metric"] = [card.data.tags, scores["accuracy"]]
card = SpaceCard.load("someone/demo", repo_type="space")
seen["space"] = [card.data.sdk, card.data.app_file, card.data.models]
page = snapshot_download("someone/demo", repo_type="space")
sys.path.insert(0, page)
import app
demo = app.Demo()
scores, rows = demo.select(demo.names[1], demo.settings["texts"][0])
seen["demo"] = [demo.names, scores.tolist(), rows]
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders to push, a file of facts for each, and a file of scores."""
    folder = tmp_path_factory.mktemp("places")
    model = save_model(folder / "runs" / "grounding", ViLBertForRegionGrounding)
    add_run(model, task="refcoco")
    for number, split in enumerate(("train", "val")):
        metadata = RegionFeaturesMetadata(
            feature_dim=FEATURES, num_classes=5, detector="a generator", box_policy="any", feature_dtype="float32"
        )
        with RegionShardWriter(folder / "features" / split, metadata) as writer:
            for image in range(2):
                writer.write(random_regions(3, feature_dim=FEATURES, seed=2 * number + image))
    scores = {"model": {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "accuracy_count": 90}}
    (folder / "scores.json").write_text(json.dumps(scores))
    for kind, facts in FACTS.items():
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump(facts))
    return {
        "model": model,
        "dataset": folder / "features",
        "metric": Path(metrics_vl.__file__).parent / "snli_ve_accuracy",
        "space": folder / "features" / "val",
        "scores": folder / "scores.json",
        "facts": folder,
    }


NAMES = {"model": "grounding", "dataset": "features", "metric": "snli_ve_accuracy", "space": "demo"}


def words(kind: str, places: dict[str, Path], *more: str, facts: bool = True) -> list[str]:
    """A command line that pushes one of the folders."""
    given = ["--facts", str(places["facts"] / f"{kind}.yaml")] if facts else []
    return [kind, str(places[kind]), f"someone/{NAMES[kind]}", *given, *more]


def test_four_kinds_are_pushed_and_used(hub: Hub, places: dict[str, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(places["facts"].rglob("*"))}
    scores = ["--scores", f"{places['scores']}=RefCOCO, ten random images"]
    jobs = [words("model", places), words("dataset", places, facts=False), words("space", places)]
    printed = hub.output(PUSH, json.dumps(jobs)).split("ended: ")
    assert "  scores: files of scores, each FILE=what the model was measured on" in printed[1]
    assert "5 fields are unfilled:\n  data_license: " in printed[2]
    assert "404" in printed[3]  # there is no such model yet
    assert {request.method for request in hub.requests} <= {"GET", "HEAD"}  # nothing was sent, no repository made

    jobs = [words("model", places, *scores, "--private"), words("dataset", places), words("metric", places)]
    jobs += [words("space", places, "--message", "A demo")]
    jobs += [words("dataset", places, "--revision", "v2", "--limits", "Other ones.")]
    printed = hub.output(PUSH, json.dumps(jobs))
    assert printed.count("pushed: ") == 5, printed
    cards = [hub.content("features", "README.md", "dataset")]
    cards += [hub.content("features", "README.md", "dataset", hub.repository("features", "dataset").branches["v2"])]
    assert [b"Other ones." in card for card in cards] == [False, True]
    assert {path: path.stat().st_mtime_ns for path in sorted(places["facts"].rglob("*"))} == before
    assert hub.repository("grounding").private
    assert not hub.repository("features", "dataset").private
    assert hub.repository("demo", "space").head.title == "A demo"
    pushed = set(hub.repository("grounding").head.files)
    assert {"README.md", "config.json", "model.safetensors", "processor_config.json", "region_grounding.py"} <= pushed
    assert "run.json" not in pushed
    assert set(hub.repository("demo", "space").head.files) == {
        *(".gitattributes", "README.md", "app.py", "demo.json", "requirements.txt"),
        *("images/00-image-2.npz", "images/01-image-3.npz"),
    }

    seen = json.loads(hub.output(USE, home="elsewhere").splitlines()[-1])
    assert seen["model"] == ["cc-by-4.0", "RefCOCO, ten random images", "accuracy", 0.5]
    assert seen["class"].startswith("transformers_modules.someone.grounding.")
    assert seen["class"].endswith(".region_grounding.ViLBertForRegionGrounding")
    files = [{"split": split, "path": f"{split}/shard-*.parquet"} for split in ("train", "val")]
    assert seen["dataset"] == ["cc0-1.0", files]
    first = random_regions(3, feature_dim=FEATURES, seed=0)
    assert seen["row"] == [first.image_id, first.features.astype("float32").tolist()]
    assert seen["metric"] == [["evaluate", "metric", "vision-language"], 0.5]
    assert seen["space"] == ["gradio", "app.py", ["someone/grounding"]]
    names, found, rows = seen["demo"]
    assert names == ["00-image-2", "01-image-3"]
    assert len(found) == 3
    assert rows[0] == [f"region {found.index(max(found))}", round(max(found), 3)]


def test_a_card_that_the_hub_refuses_or_cannot_check_is_not_pushed(hub: Hub, places: dict[str, Path]) -> None:
    hub.fail("POST", "/validate-yaml", status=400, message="license must be one of the list")
    hub.cut("POST", "/validate-yaml", after=10)
    printed = hub.output(PUSH, json.dumps([words("dataset", places)] * 2))
    assert "ended: ValueError: the Hub does not accept this card, and nothing was pushed: " in printed
    assert "license must be one of the list" in printed
    assert (
        "ended: PushError: the Hub did not check the card, and nothing was pushed: the connection broke (" in printed
    )
    assert [request.path for request in hub.requests] == ["/api/validate-yaml"] * 2


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """The script in this process: what it printed, or what it said when it stopped."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["push_to_hub.py", *arguments])
        try:
            push_to_hub.main()
        except SystemExit as end:
            return f"{end.code}\n{capsys.readouterr().err}"
        return capsys.readouterr().out

    return run


def test_a_dry_run_prints_the_card(places: dict[str, Path], run_here: Any) -> None:
    printed = run_here(*words("model", places, "--scores", "none", "--dry-run", "--limits", "It knows nothing."))
    assert printed.startswith("---\nlanguage:\n- en\nlibrary_name: transformers\nlicense: cc-by-4.0\n")
    assert "\n## Limits\n\nIt knows nothing.\n" in printed
    assert printed.endswith("; nothing was pushed\n")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("model", ["--detektor", "x"], "there is no option --detektor; did you mean --detector?"),
        ("model", ["--scores", "s.json"], "scores must be FILE=what the model was measured on"),
        ("metric", [], "push snli_ve_accuracy to someone/snli_ve_accuracy, not to someone/other"),
        ("dataset", ["--facts", "nowhere.yaml"], "there is no file of facts nowhere.yaml"),
    ],
)
def test_mistakes(kind: str, options: list[str], message: str, places: dict[str, Path], run_here: Any) -> None:
    line = words(kind, places, *options)
    line[2] = "someone/other"
    assert message in run_here(*line)


def test_folders_and_names_that_cannot_be(places: dict[str, Path], run_here: Any, tmp_path: Path) -> None:
    assert "there is no folder nowhere" in run_here("model", "nowhere", "someone/m")
    assert "give the name as user/name, got 'm'" in run_here("model", str(tmp_path), "m")
    (tmp_path / "README.md").write_text("mine")
    assert "README.md would not be pushed" in run_here("model", str(tmp_path), "someone/m")


def test_help_is_there_at_once() -> None:
    """It lists what the card asks for, without torch."""
    script = "import sys\nsys.modules['torch'] = None\nfrom examples import push_to_hub\npush_to_hub.main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "model", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--weights_license" in done.stdout
