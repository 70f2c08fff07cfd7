from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hub.hub import Hub
from tests.hub.repositories import HubError

# One process for all of this: importing the client takes longer than everything it does here.
CLIENT = """
import json, os, sys
from pathlib import Path
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

api, folder, seen = HfApi(), Path(sys.argv[1]), {}

def refused(action, *arguments, **options):
    try:
        action(*arguments, **options)
    except (HfHubHTTPError, ValueError) as error:
        return [type(error).__name__, getattr(getattr(error, "response", None), "status_code", None)]

(folder / "a" / "b").mkdir(parents=True)
(folder / "x.txt").write_text("one")
(folder / "a" / "b" / "weights.safetensors").write_bytes(bytes(range(256)) * 40)
(folder / "README.md").write_text("---\\nlicense: mit\\n---\\n")

seen["user"] = api.whoami()["name"]
api.create_repo("m")
seen["again"] = str(api.create_repo("m", exist_ok=True)).rpartition("/")[2]
seen["taken"] = refused(api.create_repo, "m")
first = api.upload_folder(repo_id="someone/m", folder_path=folder, commit_message="first").oid
api.create_tag("someone/m", tag="v1")
api.create_branch("someone/m", branch="dev/x")
second = api.upload_file(path_or_fileobj=b"two", path_in_repo="x.txt", repo_id="someone/m").oid
api.upload_file(path_or_fileobj=b"branch", path_in_repo="x.txt", repo_id="someone/m", revision="dev/x")
seen["unchanged"] = api.upload_folder(repo_id="someone/m", folder_path=folder / "a", path_in_repo="a").oid == second
seen["revisions"] = [
    Path(hf_hub_download("someone/m", "x.txt", revision=revision)).read_text()
    for revision in ("main", "v1", "dev/x", first)
]
snapshot = Path(snapshot_download("someone/m"))
seen["snapshot"] = sorted(str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file())
seen["log"] = [commit.title for commit in api.list_repo_commits("someone/m")]
seen["tree"] = [[entry.path for entry in api.list_repo_tree("someone/m", *arguments, recursive=deep)]
                for arguments, deep in (((), True), (("a",), False))]
refs = api.list_repo_refs("someone/m")
seen["refs"] = [[ref.name for ref in refs.branches], [(ref.name, ref.target_commit == first) for ref in refs.tags]]
sizes = {file.rfilename: (file.size, file.lfs is not None)
         for file in api.model_info("someone/m", files_metadata=True).siblings}
seen["sizes"] = [sizes["x.txt"], sizes["a/b/weights.safetensors"]]
with HfFileSystem().open("someone/m@v1/a/b/weights.safetensors", "rb", block_size=512) as file:
    file.seek(5000)
    seen["part"] = list(file.read(3))
api.delete_folder("a", repo_id="someone/m")
seen["left"] = api.list_repo_files("someone/m")

seen["no repository"] = refused(api.model_info, "someone/none")
seen["no namespace"] = refused(api.model_info, "gpt2")
seen["no file"] = refused(hf_hub_download, "someone/m", "none")
seen["no revision"] = refused(hf_hub_download, "someone/m", "x.txt", revision="v9")
seen["of another"] = refused(api.create_repo, "other/m")
seen["bad token"] = refused(HfApi(token="hf_wrong").whoami)
seen["bad card"] = refused(api.upload_file, path_or_fileobj=b"---\\na: [\\n---\\n", path_in_repo="README.md",
                           repo_id="someone/m")
seen["moved on"] = refused(api.upload_file, path_or_fileobj=b"3", path_in_repo="y", repo_id="someone/m",
                           parent_commit=first)
api.create_repo("hidden", private=True)
seen["private"] = [api.model_info("someone/hidden").private, refused(HfApi(token=False).model_info, "someone/hidden")]
api.delete_repo("someone/hidden")
seen["deleted"] = refused(api.model_info, "someone/hidden")
print(json.dumps(seen))
"""

SEEN = {
    "user": "someone",
    "again": "m",
    "taken": ["HfHubHTTPError", 409],
    "unchanged": True,
    "revisions": ["two", "one", "branch", "one"],
    "snapshot": [".gitattributes", "README.md", "a/b/weights.safetensors", "x.txt"],
    "log": ["Upload x.txt with huggingface_hub", "first", "initial commit"],
    "tree": [[".gitattributes", "README.md", "a", "a/b", "a/b/weights.safetensors", "x.txt"], ["a/b"]],
    "refs": [["main", "dev/x"], [["v1", True]]],
    "sizes": [[3, False], [10240, True]],
    "part": [136, 137, 138],
    "left": [".gitattributes", "README.md", "x.txt"],
    "no repository": ["RepositoryNotFoundError", 404],
    "no namespace": ["RepositoryNotFoundError", 404],
    "no file": ["RemoteEntryNotFoundError", 404],
    "no revision": ["RevisionNotFoundError", 404],
    "of another": ["HfHubHTTPError", 403],
    "bad token": ["HfHubHTTPError", 401],
    "bad card": ["ValueError", None],
    "moved on": ["HfHubHTTPError", 412],
    "private": [True, ["RepositoryNotFoundError", 401]],
    "deleted": ["RepositoryNotFoundError", 404],
}


def test_the_real_client_finds_a_hub(hub: Hub, tmp_path: Path) -> None:
    """Everything that this project's clients ask of a Hub, asked by huggingface_hub itself."""
    seen = json.loads(hub.output(CLIENT, tmp_path / "files"))
    assert {name: value for name, value in seen.items() if value != SEEN.get(name)} == {}
    assert seen.keys() == SEEN.keys()
    assert len(hub.uploads()) == 1
    unknown = [request for request in hub.requests if request.status == 404 and "/m" not in request.path]
    assert {request.path for request in unknown} <= {
        "/api/agent-harnesses",
        "/api/models/gpt2",
        "/api/models/someone/none",
        "/api/models/someone/hidden",
    }


FAULTY = """
import json, os, sys
from huggingface_hub import HfApi, hf_hub_download

def push(content):
    try:
        HfApi().upload_file(path_or_fileobj=content, path_in_repo="w.bin", repo_id="someone/m")
    except Exception as error:
        return type(error).__name__
    return "pushed"

HfApi().create_repo("m")
outcomes = [push(bytes([number]) * 200_000) for number in range(5)]
print(json.dumps([outcomes, len(open(hf_hub_download("someone/m", "w.bin"), "rb").read())]))
"""


def test_faults_happen_as_ordered(hub: Hub) -> None:
    hub.fail("POST", "/preupload/", status=403, message="not today")
    hub.cut("POST", "/commit/", after=10)
    hub.lose_answer("POST", "/commit/")
    hub.cut("PUT", "/upload/", after=1000)
    hub.cut("GET", "/large/", after=50_000)
    outcomes, size = json.loads(hub.output(FAULTY))
    # The client asks again by itself where a large file was cut, on its way there or back.
    assert outcomes == ["HfHubHTTPError", "RemoteProtocolError", "RemoteProtocolError", "pushed", "pushed"]
    assert size == 200_000
    assert len(list(hub.repository("m").head.log())) == 4
    arrived = [(request.received, request.status) for request in hub.requests if request.method == "PUT"]
    assert sorted(arrived) == [(1000, 0), *[(200_000, 200)] * 4]
    assert len([request for request in hub.requests if "/large/" in request.path]) == 2


def test_a_commit_is_taken_over_as_a_whole_or_not_at_all(hub: Hub) -> None:
    store = hub._server.store
    repository = store.create("model", "someone/m", private=False)
    head = repository.head
    with pytest.raises(HubError, match="does not exist"):
        store.large_file("0" * 64)
    with pytest.raises(HubError, match="has the hash"):
        store.keep_upload(b"half", "0" * 64)
    with pytest.raises(HubError, match="doesn't exist: none"):
        store.commit(repository, "main", "t", "", parent=None, add={"x": store.keep(b"x")}, remove=["none"])
    assert repository.head is head
