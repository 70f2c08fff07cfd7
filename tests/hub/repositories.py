"""What a Hub holds: repositories as logs of commits, and the content of their files by its hash."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count
from pathlib import Path, PurePosixPath

REGULAR_LIMIT = 10 * 2**20
LARGE_FILE_SUFFIXES = (".bin", ".h5", ".npz", ".onnx", ".parquet", ".pt", ".safetensors")


class HubError(Exception):
    """A request that the Hub refuses.

    Args:
        status: The HTTP status of the answer.
        message: Why, for the header that clients show.
        code: The Hub's name of the error, from which clients choose the class of their exception.
    """

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def git_oid(content: bytes) -> str:
    """The name git gives a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def uploaded_as_large_file(path: str, size: int, sample: bytes) -> bool:
    """Whether a file travels apart from its commit, as the Hub decides by name, size and first bytes."""
    return PurePosixPath(path).suffix in LARGE_FILE_SUFFIXES or size > REGULAR_LIMIT or b"\0" in sample


@dataclass(frozen=True)
class StoredFile:
    """A file of a commit.

    Attributes:
        sha256: The hash of its content, under which the store keeps it.
        size: Bytes.
        oid: Its name in git: of the content, or of the pointer to a large file.
        large: Whether git holds only a pointer.
    """

    sha256: str
    size: int
    oid: str
    large: bool

    @property
    def etag(self) -> str:
        """By what a download recognises the content."""
        return self.sha256 if self.large else self.oid


@dataclass(frozen=True)
class Commit:
    """A state of a repository, and what was said when it was made."""

    oid: str
    title: str
    message: str
    date: str
    files: Mapping[str, StoredFile]
    parent: Commit | None = None

    def log(self) -> Iterator[Commit]:
        """This commit and those before it, newest first."""
        commit: Commit | None = self
        while commit is not None:
            yield commit
            commit = commit.parent


@dataclass
class Repository:
    """A repository: branches and tags are names of commits."""

    kind: str
    name: str
    private: bool
    branches: dict[str, Commit]
    tags: dict[str, Commit] = field(default_factory=dict)

    @property
    def head(self) -> Commit:
        """The newest commit of the main branch."""
        return self.branches["main"]

    def at(self, revision: str) -> Commit:
        """The commit that a branch, a tag or a hash names."""
        if commit := self.branches.get(revision) or self.tags.get(revision):
            return commit
        for branch in (*self.branches.values(), *self.tags.values()):
            for commit in branch.log():
                if commit.oid == revision:
                    return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


class Store:
    """All repositories of a Hub. A commit is taken over as a whole or not at all.

    Args:
        folder: Where the content of files lies.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs"
        self._blobs.mkdir(parents=True)
        self._repositories: dict[tuple[str, str], Repository] = {}
        self._numbers = count()
        self._lock = threading.Lock()

    def create(self, kind: str, name: str, *, private: bool) -> Repository:
        """A new repository, with the one commit that the Hub makes by itself."""
        attributes = "".join(
            f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in sorted(LARGE_FILE_SUFFIXES)
        )
        first = self.commit_of("initial commit", "", {".gitattributes": self.keep(attributes.encode())}, None)
        with self._lock:
            if (kind, name) in self._repositories:
                raise HubError(409, f"You already created this {kind} repo: {name}")
            repository = Repository(kind, name, private, {"main": first})
            self._repositories[kind, name] = repository
        return repository

    def find(self, kind: str, name: str) -> Repository:
        """The repository of this name; `kind` is `model`, `dataset` or `space`."""
        try:
            return self._repositories[kind, name]
        except KeyError:
            raise HubError(404, "Repository not found", "RepoNotFound") from None

    def delete(self, kind: str, name: str) -> None:
        """Forgets a repository."""
        self.find(kind, name)
        del self._repositories[kind, name]

    def commit_of(self, title: str, message: str, files: Mapping[str, StoredFile], parent: Commit | None) -> Commit:
        """A commit that no branch names yet."""
        listing = "".join(f"{path} {file.oid}\n" for path, file in sorted(files.items()))
        text = f"{next(self._numbers)} {parent and parent.oid} {title}\n{listing}"
        date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        return Commit(hashlib.sha1(text.encode()).hexdigest(), title, message, date, dict(files), parent)

    def commit(
        self,
        repository: Repository,
        branch: str,
        title: str,
        message: str,
        *,
        parent: str | None,
        add: Mapping[str, StoredFile],
        remove: list[str],
    ) -> Commit:
        """Puts a new state at the head of a branch.

        Args:
            repository: Where to.
            branch: Which branch moves.
            title: First line of the commit message.
            message: The rest of it.
            parent: What the head must be, if the client says so.
            add: New and changed files.
            remove: Files to remove, and folders, with a slash at the end.

        Returns:
            The new head.
        """
        with self._lock:
            head = repository.branches.get(branch)
            if head is None:
                raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            if parent is not None and not head.oid.startswith(parent):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            files = dict(head.files)
            for removed in remove:
                gone = [path for path in files if path == removed or (removed[-1] == "/" and path.startswith(removed))]
                if not gone:
                    raise HubError(404, f"A file with this name doesn't exist: {removed}", "EntryNotFound")
                for path in gone:
                    del files[path]
            repository.branches[branch] = self.commit_of(title, message, files | dict(add), head)
            return repository.branches[branch]

    def keep(self, content: bytes) -> StoredFile:
        """A file whose content came with its commit."""
        sha256 = hashlib.sha256(content).hexdigest()
        self._write(content, sha256)
        return StoredFile(sha256, len(content), git_oid(content), large=False)

    def keep_upload(self, content: bytes, sha256: str) -> None:
        """Keeps a large file that was uploaded apart from its commit, if it is what it claims to be."""
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise HubError(400, f"the content of the upload has the hash {found}, not {sha256}")
        self._write(content, sha256)

    def has(self, sha256: str) -> bool:
        """Whether this content has been uploaded as a whole."""
        return (self._blobs / sha256).is_file()

    def content(self, sha256: str) -> Path:
        """Where this content lies."""
        if not self.has(sha256):
            raise HubError(404, f"no object {sha256}", "EntryNotFound")
        return self._blobs / sha256

    def large_file(self, sha256: str) -> StoredFile:
        """A file whose content was uploaded before its commit."""
        if not self.has(sha256):
            raise HubError(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        size = self.content(sha256).stat().st_size
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return StoredFile(sha256, size, git_oid(pointer.encode()), large=True)

    def _write(self, content: bytes, sha256: str) -> None:
        with tempfile.NamedTemporaryFile(dir=self._blobs, delete=False) as part:
            part.write(content)
        Path(part.name).replace(self._blobs / sha256)
