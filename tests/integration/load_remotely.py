"""A process that has none of our packages: loads saved folders by their own code, and saves them again.

`python -I load_remotely.py FOLDER AGAIN` wants in FOLDER one folder a model, with `job.json` (the Auto class that
loads it, or the reference of its class), `inputs.pt` and `outputs.pt`, and where there is a processor `examples.pt`,
`encodings.pt` and a pipeline's `results.json`. It stops at the first output that is not bit-equal. What it loaded is
saved in AGAIN.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

OURS = (
    *("configuration_vl", "processing_vl", "metrics_vl", "datasets_vl", "modeling_vl", "training_vl"),
    "hub_cards",
)
GIVEN = ("job.json", "inputs.pt", "outputs.pt", "examples.pt", "encodings.pt", "results.json")


class Hidden(MetaPathFinder):
    """Finds nothing of ours, before anything else can."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse our packages."""
        if name.partition(".")[0] in OURS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Hidden())

import torch  # noqa: E402 (what follows must not find our packages)
import transformers  # noqa: E402
from transformers.dynamic_module_utils import get_class_from_dynamic_module  # noqa: E402


def check_equal(what: str, found: Mapping[str, Any], expected: Mapping[str, torch.Tensor]) -> None:
    """Stop unless all tensors are the same, bit by bit."""
    tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    assert expected and tensors.keys() == expected.keys(), f"{what}: {tensors.keys()} instead of {expected.keys()}"
    for name, value in expected.items():
        assert torch.equal(tensors[name], value), f"{what}: {name} is not the same"


def load_model(folder: Path, job: dict[str, Any]) -> Any:
    """By the Auto class of transformers, or as a card shows it for classes that have none."""
    if "auto_class" in job:
        auto_class = getattr(transformers, job["auto_class"])
        return auto_class.from_pretrained(folder, trust_remote_code=True)
    return get_class_from_dynamic_module(job["reference"], folder).from_pretrained(folder)


def check_auto_map(folder: Path, auto_map: Mapping[str, str]) -> None:
    """Any Auto class loads any folder; heads that it has no weights for are new."""
    for name, reference in auto_map.items():
        if name.startswith("AutoModel"):
            loaded = getattr(transformers, name).from_pretrained(folder, trust_remote_code=True)
            assert type(loaded).__name__ == reference.partition(".")[2]


def run(folder: Path, again: Path) -> None:
    """Load one folder, compare, and save it again."""
    job = json.loads((folder / "job.json").read_text())
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model = load_model(folder, job).eval()
    assert type(model).__name__ == job["class"] and type(config).__name__ == type(model.config).__name__
    assert type(model).__module__.startswith("transformers_modules.")
    inputs = torch.load(folder / "inputs.pt")
    with torch.no_grad():
        check_equal(folder.name, model(**inputs, **job["options"]), torch.load(folder / "outputs.pt"))
    if job["class"].endswith("ForPreTraining"):
        check_auto_map(folder, config.auto_map)
    model.save_pretrained(again)
    if (folder / "encodings.pt").is_file():
        run_processor(folder, again)
    for name in GIVEN:
        if (folder / name).is_file():
            shutil.copy(folder / name, again / name)


def run_processor(folder: Path, again: Path) -> None:
    """Load the processor and the pipeline, compare, and save both again."""
    examples = torch.load(folder / "examples.pt")
    processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    assert type(processor).__module__.startswith("transformers_modules.")
    check_equal(folder.name, processor(**examples), torch.load(folder / "encodings.pt"))
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
    regions = {name: value for name, value in processor(**examples).items() if name.startswith("visual_")}
    check_equal(folder.name, extractor(examples["regions"]), regions)
    processor.save_pretrained(again)
    pipe = transformers.pipeline(model=str(folder), trust_remote_code=True, device="cpu", top_k=3)
    assert type(pipe).__module__.startswith("transformers_modules.")
    assert pipe(**examples, batch_size=2) == json.loads((folder / "results.json").read_text())
    pipe.save_pretrained(again)


def main(folder: Path, again: Path) -> None:
    """All folders, and from each what its Auto classes promise."""
    for name in OURS:
        try:
            __import__(name)
        except ModuleNotFoundError:
            continue
        raise AssertionError(f"{name} can be imported, so nothing is shown here")
    torch.set_num_threads(1)
    done = []
    for one in sorted(path for path in folder.iterdir() if path.is_dir()):
        run(one, again / one.name)
        done.append(one.name)
    print(json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
