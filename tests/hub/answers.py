"""What the Hub answers: one function for each request that the clients of this project make."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote

import yaml

from tests.hub.repositories import Commit, HubError, Repository, Store, StoredFile, uploaded_as_large_file


@dataclass(frozen=True)
class Call:
    """A request whose body has arrived.

    Attributes:
        url: Address of the server.
        store: The repositories.
        user: Whose token came with it; None if none did.
        body: Its body.
        query: Values after the question mark.
    """

    url: str
    store: Store
    user: str | None
    body: bytes
    query: dict[str, list[str]]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def asks(self, option: str) -> bool:
        """Whether a switch of the query is on."""
        return self.query.get(option, ["false"])[0].lower() in {"1", "true"}

    def require_user(self) -> str:
        """The user, for what only a user may do."""
        if self.user is None:
            raise HubError(401, "Invalid username or password.")
        return self.user

    def readable(self, kind: str, name: str) -> Repository:
        """A repository that the user may see; a private one does not exist for others."""
        repository = self.store.find(kind, name)
        if repository.private and self.user != owner(name):
            raise HubError(404 if self.user else 401, "Repository not found", "RepoNotFound")
        return repository

    def writable(self, kind: str, name: str) -> Repository:
        """A repository that the user may change."""
        user, repository = self.require_user(), self.readable(kind, name)
        if user != owner(name):
            raise HubError(403, f"Forbidden: {user} has no right to write to {name}")
        return repository


@dataclass(frozen=True)
class Answer:
    """What goes back.

    Attributes:
        content: A JSON value, or the bytes of a file.
        status: The HTTP status.
        headers: Headers beside those of every answer.
    """

    content: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []

KIND = "(?P<kind>model|dataset|space)s"
NAME = "(?P<name>[^/]+/[^/]+)"
API = f"/api/{KIND}/{NAME}"
GIT = f"/(?:(?P<kind>dataset|space)s/)?{NAME}"
REVISION = "(?P<revision>[^/]+)"


def route(method: str, pattern: str) -> Callable[[Route], Route]:
    """Makes a function answer the requests of a method whose path matches as a whole."""

    def add(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), function))
        return function

    return add


def answer(method: str, path: str, call: Call) -> Answer:
    """The answer to a request; a HEAD is answered as a GET.

    Args:
        method: HTTP method.
        path: The path as it came, percent signs and all, without the query.
        call: The rest of the request.

    Returns:
        The answer, which may be the report of an error.
    """
    wanted = "GET" if method == "HEAD" else method
    for known, pattern, function in ROUTES:
        if known == wanted and (match := pattern.fullmatch(path)):
            values = {
                key: unquote(value or "model" if key == "kind" else value)
                for key, value in match.groupdict("").items()
            }
            return function(call, **values)
    if re.match("/(api/)?((model|dataset|space)s/)?[^/]+(/(resolve|revision|tree)/|$)", path):
        raise HubError(404, "Repository not found", "RepoNotFound")
    raise HubError(404, f"this stand-in for the Hub does not know {method} {path}")


def owner(name: str) -> str:
    """To whom a repository belongs."""
    return name.partition("/")[0]


def address(call: Call, repository: Repository) -> str:
    """The web page of a repository."""
    return f"{call.url}/{'' if repository.kind == 'model' else repository.kind + 's/'}{repository.name}"


@route("GET", "/api/whoami-v2")
def _whoami(call: Call) -> Answer:
    user = call.require_user()
    token = {"displayName": "tests", "role": "write"}
    return Answer({"type": "user", "name": user, "fullname": user, "orgs": [], "auth": {"accessToken": token}})


@route("POST", "/api/validate-yaml")
def _validate(call: Call) -> Answer:
    header = re.match(r"---\n(.*?)\n---", call.json["content"], re.DOTALL)
    try:
        values = yaml.safe_load(header[1]) if header else None
    except yaml.YAMLError as error:
        return Answer({"errors": [{"message": str(error)}], "warnings": []}, 400)
    if values is not None and not isinstance(values, dict):
        return Answer({"errors": [{"message": "the metadata must be an object"}], "warnings": []}, 400)
    return Answer(
        {"errors": [], "warnings": [] if header else [{"message": "empty or missing yaml metadata in repo card"}]}
    )


@route("POST", "/api/repos/create")
def _create(call: Call) -> Answer:
    user, wanted = call.require_user(), call.json
    if wanted.get("organization") not in (None, user):
        raise HubError(403, f"You don't have the rights to create a repo under {wanted['organization']}")
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    kind, name = wanted.get("type") or "model", f"{user}/{wanted['name']}"
    status = 200
    try:
        repository = call.store.create(kind, name, private=private)
    except HubError as error:
        repository, status = call.store.find(kind, name), error.status
    content = {"url": address(call, repository), "name": name, "id": name}
    return Answer(content | ({"error": f"You already created this {kind} repo"} if status == 409 else {}), status)


@route("DELETE", "/api/repos/delete")
def _delete(call: Call) -> Answer:
    wanted = call.json
    kind, name = wanted.get("type") or "model", f"{wanted.get('organization') or call.require_user()}/{wanted['name']}"
    call.writable(kind, name)
    call.store.delete(kind, name)
    return Answer()


@route("POST", f"{API}/preupload/{REVISION}")
def _preupload(call: Call, kind: str, name: str, revision: str) -> Answer:
    there = call.writable(kind, name).at(revision).files
    files = []
    for file in call.json["files"]:
        large = uploaded_as_large_file(file["path"], file["size"], base64.b64decode(file["sample"]))
        known = {"oid": there[file["path"]].etag} if file["path"] in there else {}
        mode = "lfs" if large else "regular"
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, **known})
    return Answer({"files": files})


@route("POST", f"{GIT}.git/info/lfs/objects/batch")
def _batch(call: Call, kind: str, name: str) -> Answer:
    call.writable(kind, name)
    objects = []
    for wanted in call.json["objects"]:
        upload = {"upload": {"href": f"{call.url}/upload/{wanted['oid']}"}}
        objects.append(wanted if call.store.has(wanted["oid"]) else wanted | {"actions": upload})
    return Answer({"transfer": "basic", "objects": objects})


@route("PUT", "/upload/(?P<sha256>[0-9a-f]{64})")
def _upload(call: Call, sha256: str) -> Answer:
    call.store.keep_upload(call.body, sha256)
    return Answer()


@route("POST", f"{API}/commit/{REVISION}")
def _commit(call: Call, kind: str, name: str, revision: str) -> Answer:
    repository = call.writable(kind, name)
    if call.asks("create_pr"):
        raise HubError(400, "this stand-in for the Hub has no pull requests")
    header: dict[str, str] = {}
    add: dict[str, StoredFile] = {}
    remove: list[str] = []
    for line in call.body.splitlines():
        key, value = (item := json.loads(line))["key"], item["value"]
        if key == "header":
            header = value
        elif key == "file":
            add[value["path"]] = call.store.keep(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            add[value["path"]] = call.store.large_file(value["oid"])
        else:
            remove.append(value["path"].rstrip("/") + ("/" if key == "deletedFolder" else ""))
    commit = call.store.commit(
        repository,
        revision,
        header["summary"],
        header.get("description", ""),
        parent=header.get("parentCommit"),
        add=add,
        remove=remove,
    )
    page = f"{address(call, repository)}/commit/{commit.oid}"
    return Answer({"success": True, "commitOid": commit.oid, "commitUrl": page, "hookOutput": ""})


@route("GET", f"{API}(?:/revision/{REVISION})?")
def _info(call: Call, kind: str, name: str, revision: str) -> Answer:
    repository = call.readable(kind, name)
    commit, first = repository.at(revision or "main"), list(repository.head.log())[-1]
    files = [
        {"rfilename": path} | ({"size": file.size, "blobId": file.oid, **_lfs(file)} if call.asks("blobs") else {})
        for path, file in sorted(commit.files.items())
    ]
    return Answer(
        {
            "_id": hashlib.sha1(name.encode()).hexdigest()[:24],
            "id": name,
            "modelId": name,
            "author": owner(name),
            "sha": commit.oid,
            "siblings": files,
            "private": repository.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "createdAt": first.date,
            "lastModified": commit.date,
        }
    )


@route("GET", f"{API}/tree/{REVISION}(?:/(?P<folder>.*))?")
def _tree(call: Call, kind: str, name: str, revision: str, folder: str) -> Answer:
    commit = call.readable(kind, name).at(revision)
    entries = _entries(commit)
    if folder and entries.get(folder, {}).get("type") != "directory":
        raise HubError(404, f"{folder} does not exist on {revision}", "EntryNotFound")
    depth = len(PurePosixPath(folder).parts) + 1
    return Answer(
        [
            entry
            for path, entry in entries.items()
            if (not folder or PurePosixPath(path).is_relative_to(folder))
            and (len(PurePosixPath(path).parts) == depth or (call.asks("recursive") and path != folder))
        ]
    )


@route("POST", f"{API}/paths-info/{REVISION}")
def _paths(call: Call, kind: str, name: str, revision: str) -> Answer:
    entries = _entries(call.readable(kind, name).at(revision))
    return Answer([entries[path] for path in parse_qs(call.body.decode())["paths"] if path in entries])


@route("GET", f"{API}/refs")
def _refs(call: Call, kind: str, name: str) -> Answer:
    repository = call.readable(kind, name)
    groups = {"branches": ("heads", repository.branches), "tags": ("tags", repository.tags)}
    refs = {
        group: [{"name": ref, "ref": f"refs/{word}/{ref}", "targetCommit": at.oid} for ref, at in names.items()]
        for group, (word, names) in groups.items()
    }
    return Answer(refs | {"converts": [], "pullRequests": []})


@route("GET", f"{API}/commits/{REVISION}")
def _commits(call: Call, kind: str, name: str, revision: str) -> Answer:
    people = [{"user": owner(name)}]
    return Answer(
        [
            {"id": at.oid, "title": at.title, "message": at.message, "date": at.date, "authors": people}
            for at in call.readable(kind, name).at(revision).log()
        ]
    )


@route("POST", f"{API}/branch/(?P<branch>[^/]+)")
def _branch(call: Call, kind: str, name: str, branch: str) -> Answer:
    repository = call.writable(kind, name)
    start = json.loads(call.body or b"{}").get("startingPoint", "main")
    return _name(repository.branches, branch, repository.at(start))


@route("POST", f"{API}/tag/{REVISION}")
def _tag(call: Call, kind: str, name: str, revision: str) -> Answer:
    repository = call.writable(kind, name)
    return _name(repository.tags, call.json["tag"], repository.at(revision))


@route("GET", f"{GIT}/resolve/{REVISION}/(?P<path>.+)")
def _resolve(call: Call, kind: str, name: str, revision: str, path: str) -> Answer:
    commit = call.readable(kind, name).at(revision)
    if path not in commit.files:
        raise HubError(404, "Entry not found", "EntryNotFound")
    file, headers = commit.files[path], {"X-Repo-Commit": commit.oid}
    if not file.large:
        return Answer(call.store.content(file.sha256), headers=headers | {"ETag": f'"{file.oid}"'})
    headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
    # As the Hub does, which keeps large files on another host: clients follow redirects to the same host in silence.
    host = call.url.replace("127.0.0.1", "localhost")
    return Answer(b"", 302, headers | {"Location": f"{host}/large/{file.sha256}/{PurePosixPath(path).name}"})


@route("GET", "/large/(?P<sha256>[0-9a-f]{64})/[^/]+")
def _large(call: Call, sha256: str) -> Answer:
    return Answer(call.store.content(sha256), headers={"ETag": f'"{sha256}"'})


def _name(names: dict[str, Commit], name: str, commit: Commit) -> Answer:
    if name in names:
        raise HubError(409, f"Reference already exists: {name}")
    names[name] = commit
    return Answer()


def _lfs(file: StoredFile) -> dict[str, Any]:
    return (
        {"lfs": {"oid": file.sha256, "sha256": file.sha256, "size": file.size, "pointerSize": 134}}
        if file.large
        else {}
    )


def _entries(commit: Commit) -> dict[str, dict[str, Any]]:
    """Files and folders of a commit by their path, sorted."""
    last = {"lastCommit": {"id": commit.oid, "title": commit.title, "date": commit.date}}
    entries: dict[str, dict[str, Any]] = {
        path: {"type": "file", "path": path, "size": file.size, "oid": file.oid, **_lfs(file), **last}
        for path, file in commit.files.items()
    }
    folders = {str(parent) for path in commit.files for parent in PurePosixPath(path).parents} - {"."}
    for folder in folders:
        oid = hashlib.sha1(f"{commit.oid} {folder}".encode()).hexdigest()
        entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": oid, **last}
    return dict(sorted(entries.items()))
