"""A push is one commit, whole or not at all: what a failed one says, leaves behind, and sends when started again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from tests.hub.hub import ROOT, Hub

PUSH = """
import json, sys
from pathlib import Path
from datasets_vl.hub_push import PushError, push_folder

folder, texts, outcomes = Path(sys.argv[1]), sys.argv[2:], []
for text in texts:
    (folder / "config.json").write_text(text)
    try:
        outcomes.append(push_folder(folder, "someone/m", message=text))
    except (PushError, ValueError) as error:
        outcomes.append(str(error))
print(json.dumps(outcomes))
"""


WEIGHTS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def write_model(folder: Path) -> list[str]:
    """A folder with two large files and what a writer leaves for itself; the hashes of the two."""
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "writer.lock").touch()
    contents = [name.encode() * 4_000 for name in WEIGHTS]
    for name, content in zip(WEIGHTS, contents, strict=True):
        (folder / name).write_bytes(content)
    return [hashlib.sha256(content).hexdigest() for content in contents]


def log(hub: Hub) -> list[str]:
    """First lines of the commits, oldest first."""
    return [commit.title for commit in hub.repository("m").head.log()][::-1]


def pushes(hub: Hub, folder: Path, *texts: str) -> list[str]:
    """Pushes the folder once for each text, which becomes its config and the commit's message."""
    return json.loads(hub.output(PUSH, folder, *texts))


def start(hub: Hub, folder: Path, text: str) -> subprocess.Popen[str]:
    """One push in the background."""
    command = [sys.executable, "-c", PUSH, str(folder), text]
    return subprocess.Popen(command, cwd=ROOT, env=hub.environment(), stdout=subprocess.PIPE, text=True)


def test_a_failed_push_says_what_happened_and_changes_nothing(hub: Hub, tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    hub.fail("POST", "/repos/create", status=401, message="Invalid username or password.")
    (nothing,) = pushes(hub, tmp_path / "m", "0")
    assert nothing == (
        "the push to the model repository someone/m failed: the Hub does not know your token (Invalid username or "
        "password.). Nothing was sent. Files on this disk are as they were. What to do: log in with `hf auth login`, "
        "or set HF_TOKEN to a token that may write."
    )
    pushes(hub, tmp_path / "m", "first")
    first = hub.repository("m").head

    hub.fail("POST", "/preupload/", status=403, message="Forbidden: read only token")
    hub.fail("POST", "/preupload/", status=404, message="Repository not found", code="RepoNotFound")
    hub.fail("POST", "/commit/", status=412, message="A commit has happened since. Please refresh and try again.")
    hub.fail("POST", "/commit/", status=500)
    hub.cut("POST", "/commit/", after=50)
    outcomes = pushes(hub, tmp_path / "m", *"abcde")
    assert hub.repository("m").head is first
    reasons = [
        "your token has no right to do that (Forbidden: read only token)",
        "there is no such repository, or your token may not see it (Repository not found)",
        "someone else has pushed meanwhile (A commit has happened since. Please refresh and try again.)",
        "the Hub failed (Internal Error)",
        "the connection broke (Server disconnected without sending a response.)",
    ]
    advice = [
        "use a token that may write to this repository, or push to another",
        "check the name and your token's rights",
        "look at the repository's history, then push again",
        "push again later; large files that have arrived are not sent again",
        "push again; large files that have arrived are not sent again",
    ]
    for outcome, reason, what_to_do in zip(outcomes, reasons, advice, strict=True):
        assert outcome == (
            f"the push to the model repository someone/m failed: {reason}. The repository is as it was before, at "
            f"commit {first.oid[:12]}. Files on this disk are as they were. What to do: {what_to_do}."
        )
    assert sorted(first.files) == [".gitattributes", "config.json", *WEIGHTS]


def test_a_push_gives_way_to_one_that_came_first(hub: Hub, tmp_path: Path) -> None:
    """Also where both have the same message, which tells a push's own commit when an answer was lost."""
    write_model(tmp_path / "m")
    pushes(hub, tmp_path / "m", "first")
    pause = hub.pause("POST", "/commit/")
    late = start(hub, tmp_path / "m", "Upload config.json")
    assert pause.arrived.wait(timeout=120)
    other = hub.commit("m", "config.json", b"{}")
    pause.released.set()
    out, _ = late.communicate(timeout=120)
    (outcome,) = json.loads(out)
    assert "failed: someone else has pushed meanwhile (A commit has happened since." in outcome
    assert f"nothing of this push; it is now at commit {other.oid[:12]}, 'Upload config.json'. " in outcome
    assert hub.repository("m").head is other


def test_a_repository_that_does_not_answer_is_in_one_of_two_states(hub: Hub, tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    hub.lose_answer("POST", "/commit/")
    hub.fail("GET", "/commits/", status=403)
    (outcome,) = pushes(hub, tmp_path / "m", "first")
    before = hub.repository("m").head.parent
    assert (
        f"The repository does not answer; it is at commit {before.oid[:12]} as before, or has all of this push, but "
        "nothing between. Files on this disk are as they were. What to do: push again; "
    ) in outcome


def test_a_push_whose_answer_was_lost_has_succeeded(hub: Hub, tmp_path: Path) -> None:
    """Also one that puts one file in the place of two, which are gone with the same commit."""
    write_model(tmp_path / "m")
    pushes(hub, tmp_path / "m", "first")
    for name in WEIGHTS:
        (tmp_path / "m" / name).rename(tmp_path / "m" / "model.safetensors")
    hub.lose_answer("POST", "/commit/")
    (outcome, again) = pushes(hub, tmp_path / "m", *["second\n\nOne file in the place of two."] * 2)
    assert outcome == again == f"{hub.url}/someone/m/commit/{hub.repository('m').head.oid}"
    assert log(hub) == ["initial commit", "first", "second"]
    assert hub.repository("m").head.message == "One file in the place of two."
    assert sorted(hub.repository("m").head.files) == [".gitattributes", "config.json", "model.safetensors"]


def test_an_interrupted_upload_goes_on_where_it_broke_off(hub: Hub, tmp_path: Path) -> None:
    """A refused file, a connection cut within a file, and a process killed within a file."""
    first, second = write_model(tmp_path / "m")
    hub.fail("PUT", second, status=403, message="Request has expired")
    (outcome,) = pushes(hub, tmp_path / "m", "first")
    assert "failed: the storage of large files refused it (" in outcome
    assert "What to do: push again; large files that have arrived are not sent again." in outcome
    assert hub.uploads() == [first]
    assert log(hub) == ["initial commit"]

    pause = hub.pause("PUT", second)
    killed = start(hub, tmp_path / "m", "first")
    assert pause.arrived.wait(timeout=120)
    killed.kill()
    killed.wait()
    assert log(hub) == ["initial commit"]

    hub.cut("PUT", second, after=70_000)
    pushes(hub, tmp_path / "m", "first")
    assert hub.uploads() == [first, second]
    assert log(hub) == ["initial commit", "first"]
    for name in WEIGHTS:
        assert hub.content("m", name) == (tmp_path / "m" / name).read_bytes()


def test_a_card_with_invalid_metadata_is_refused_before_anything_is_sent(hub: Hub, tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("---\nlicense: [\n---\n")
    (outcome,) = pushes(hub, tmp_path / "m", "first")
    assert outcome.startswith("Invalid metadata in README.md.\n- ")
    assert hub.uploads() == []
    assert log(hub) == ["initial commit"]


def test_offline_is_named(hub: Hub, tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    (outcome,) = json.loads(hub.output(PUSH, tmp_path / "m", "first", HF_HUB_OFFLINE="1"))
    assert "failed: this process is offline (" in outcome
    assert "Nothing was sent. " in outcome
    assert "What to do: unset HF_HUB_OFFLINE and push again." in outcome
