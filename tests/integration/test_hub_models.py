"""Models, processors and configs travel to a Hub and back through transformers' own methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.hub.hub import Hub

CLIENT = "import sys; from tests.integration.hub_models import main; main(sys.argv[1])"

# Our packages cannot be imported here: `load_remotely` hides them.
REMOTE_CLIENT = """
import sys
from tests.integration.load_remotely import check_equal
import torch
from transformers import AutoModelForVisualQuestionAnswering as AutoModel, AutoProcessor

torch.set_num_threads(1)
expected = torch.load(f"{sys.argv[1]}/expected.pt", weights_only=False)

def check(name, logits, **options):
    model = AutoModel.from_pretrained(name, trust_remote_code=True, **options).eval()
    assert type(model).__module__.startswith("transformers_modules.")
    with torch.no_grad():
        check_equal(name, {"logits": model(**expected["inputs"]).logits}, {"logits": logits})
    return model

def check_processor(name):
    processor = AutoProcessor.from_pretrained(name, trust_remote_code=True)
    check_equal(name, processor(text=["what is there?"], regions=[expected["regions"]]), expected["encoding"])
    return processor

check("someone/vqa", expected["logits"]["v1"], revision="v1")
model = check("someone/vqa", expected["logits"]["main"])
model.push_to_hub("someone/again")
check_processor("someone/vqa").push_to_hub("someone/again")
check("someone/again", expected["logits"]["main"])
check_processor("someone/again")
"""


class Visit(NamedTuple):
    """A Hub after a user's visit, and what the user saw."""

    hub: Hub
    folder: Path
    seen: dict[str, bool]
    failures: dict[str, str]


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("visit")
    with Hub(folder / "hub") as hub:
        hub.fail("POST", "/someone/unlucky/commit/", status=500)
        hub.cut("POST", "/someone/unlucky/commit/", after=100)
        said: dict[str, Any] = json.loads(hub.output(CLIENT, folder).splitlines()[-1])
        yield Visit(hub, folder, said["seen"], said["failures"])


def commits(hub: Hub, name: str) -> list[str]:
    """First lines of a model's commits, oldest first."""
    return [commit.title for commit in hub.repository(name).head.log()][::-1]


def test_everything_comes_back_as_it_went(visit: Visit) -> None:
    """From the main branch, a tag and a commit; pushed by model, processor, config, when saved, and by the Trainer."""
    assert visit.seen
    assert [name for name, holds in visit.seen.items() if holds is not True] == []


def test_the_repositories_hold_what_was_pushed(visit: Visit) -> None:
    assert commits(visit.hub, "vqa") == ["initial commit", "model", "processor", "larger weights"]
    repository = visit.hub.repository("vqa")
    assert repository.tags["v1"].title == "processor"
    names = {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert names <= repository.head.files.keys()
    saved = visit.hub.repository("saved").head.files
    assert "model.safetensors.index.json" in saved
    assert len([name for name in saved if name.endswith(".safetensors")]) > 1
    assert {"modeling_visualbert.py", "processing_regions.py"} <= saved.keys()  # written before transformers looks
    trained = visit.hub.repository("trained").head.files
    assert {"model.safetensors", "README.md", "training_args.bin", "last-checkpoint/optimizer.pt"} <= trained.keys()


def test_failures_are_told_in_words(visit: Visit) -> None:
    expected = {
        "no repository": "someone/nothing is not a local folder and is not a valid model identifier",
        "no revision": "v9 is not a valid git identifier (branch name, tag name or commit id)",
        "another's name": "You don't have the rights to create a repo under other",
        "wrong token": "Invalid credentials in Authorization header",
        "failing Hub": "Server error '500 Internal Server Error'",
        "cut connection": "Server disconnected without sending a response.",
    }
    assert visit.failures.keys() == expected.keys()
    assert [text for name, text in expected.items() if text not in visit.failures[name]] == []


def test_a_failed_push_of_a_config_leaves_nothing(visit: Visit) -> None:
    assert commits(visit.hub, "unlucky") == ["initial commit", "third"]


def test_who_has_no_package_loads_and_pushes_too(visit: Visit) -> None:
    """With trust_remote_code, on another machine: bit-equal, and so is what is pushed from there."""
    visit.hub.output(REMOTE_CLIENT, visit.folder, home="elsewhere")
    first, again = (visit.hub.repository(name).head.files for name in ("vqa", "again"))
    assert {path: file.oid for path, file in first.items() if path.endswith(".py")} == {
        path: file.oid for path, file in again.items() if path.endswith(".py")
    }
