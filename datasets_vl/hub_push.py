"""Pushing files to the Hub: one commit, whole or not at all, resumed where it broke off, and errors that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, GitCommitInfo, HfApi, RepoCard
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects

Kind = Literal["model", "dataset", "space"]

WEIGHTS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json", "pytorch_model*.bin*")
"""Files of a model of which none may stay when others take their place: loaders would find both."""

PRIVATE_FILES = (".git/*", "*/.git/*", ".cache/huggingface/*", "*/.cache/huggingface/*", "*.partial")
"""Files that no push takes along: of git, of this machine alone, and unfinished ones."""

_WHAT_TO_DO = {
    401: (
        "the Hub does not know your token",
        "log in with `hf auth login`, or set HF_TOKEN to a token that may write",
    ),
    403: ("your token has no right to do that", "use a token that may write to this repository, or push to another"),
    404: ("there is no such repository, or your token may not see it", "check the name and your token's rights"),
    412: ("someone else has pushed meanwhile", "look at the repository's history, then push again"),
}
_KEPT = "large files that have arrived are not sent again"
_STORAGE = ("the storage of large files refused it", f"push again; {_KEPT}")
_SERVER_FAILED = ("the Hub failed", f"push again later; {_KEPT}")
_CUT = ("the connection broke", f"push again; {_KEPT}")
_REFUSED = ("the Hub refused it", "mend what it names, then push again")
_OTHER = ("it could not go on", f"mend what is named, then push again; {_KEPT}")
_OFFLINE = ("this process is offline", "unset HF_HUB_OFFLINE and push again")


class PushError(RuntimeError):
    """A push that failed: the message says of what, why, what state the repository is in, and what to do."""


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    kind: Kind = "model",
    message: str | None = None,
    private: bool | None = None,
    ignore: Sequence[str] = (),
    replaces: Sequence[str] = WEIGHTS,
) -> str:
    """Push what a folder holds, see `push_files`.

    Args:
        folder: Its files keep their paths.
        repo_id: `user/name`.
        kind: Of the repository.
        message: Of the commit.
        private: Whether a repository that is made for this push is private.
        ignore: Patterns of paths to leave out, beside `PRIVATE_FILES`.
        replaces: See `push_files`.

    Returns:
        Address of the commit.

    Raises:
        PushError: See `push_files`.
        FileNotFoundError: The folder does not exist, or holds nothing to push.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    names = filter_repo_objects(named, ignore_patterns=[*PRIVATE_FILES, *ignore])
    files = {name: named[name] for name in names}
    if not files:
        raise FileNotFoundError(f"{folder} holds no file to push to {repo_id}")
    return push_files(files, repo_id, kind=kind, message=message, private=private, replaces=replaces)


def push_files(
    files: Mapping[str, str | Path],
    repo_id: str,
    *,
    kind: Kind = "model",
    message: str | None = None,
    private: bool | None = None,
    replaces: Sequence[str] = (),
    branch: str | None = None,
) -> str:
    """Push files as one commit to a branch of a repository; both are made when missing.

    Large files are sent first, each once: a push that broke off and is started again sends only those that had not
    arrived. The commit comes last. It is taken over as a whole, or refused when somebody else has pushed meanwhile, so
    a repository is never in a state between two pushes. Nothing is written on this disk.

    Args:
        files: Local files by their path in the repository.
        repo_id: `user/name`.
        kind: Of the repository.
        message: Of the commit.
        private: Whether a repository that is made for this push is private.
        replaces: Patterns of files that the new ones replace: what matches and is not among them is removed from the
            repository by the same commit.
        branch: The branch, main by default. A new one begins at the end of main.

    Returns:
        Address of the commit; of the last one if there is nothing to change.

    Raises:
        PushError: The push failed.
        FileNotFoundError: A file does not exist.
        ValueError: The metadata of a README.md are invalid; nothing was sent.
    """
    missing = [str(path) for path in files.values() if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f"nothing was pushed to {repo_id}, because these files do not exist: {missing}")
    push = _Push(repo_id, kind, (message or "").strip() or f"Upload {len(files)} files", branch)
    try:
        return push.run(files, private, replaces)
    except (HTTPError, OSError, RuntimeError) as error:
        newer = push.newer_commits()
        if _outcome_is_unknown(error) and newer and newer[-1].title == push.title:
            return push.address_of(newer[-1])
        raise PushError(push.report(error, newer)) from error


def check_card(card: RepoCard) -> None:
    """Have the Hub check the metadata of a card; nothing is sent to a repository.

    Args:
        card: Of any kind.

    Raises:
        ValueError: The Hub does not accept them.
        PushError: The Hub did not say.
    """
    try:
        card.validate()
    except ValueError as error:
        raise ValueError(f"the Hub does not accept this card, and nothing was pushed: {error}") from None
    except (HTTPError, OSError) as error:
        reason, advice = _explain(error)
        raise PushError(
            f"the Hub did not check the card, and nothing was pushed: {reason} ({_first_line(error)}). "
            f"What to do: {advice}."
        ) from error


class _Push:
    """One push, and what is known of the repository's state."""

    def __init__(self, repo_id: str, kind: Kind, message: str, branch: str | None) -> None:
        self._api = HfApi()
        self._repo_id = repo_id
        self._kind = kind
        self.title, _, self._text = message.partition("\n")
        self._branch = branch
        self._before: str | None = None

    def run(self, files: Mapping[str, str | Path], private: bool | None, replaces: Sequence[str]) -> str:
        sdk = "static" if self._kind == "space" else None  # a Space is made with one; that of its card replaces it
        made = self._api.create_repo(
            self._repo_id, repo_type=self._kind, private=private, exist_ok=True, space_sdk=sdk
        )
        self._repo_id = made.repo_id
        if self._branch is not None:
            self._api.create_branch(self._repo_id, branch=self._branch, repo_type=self._kind, exist_ok=True)
        self._before = self._head()
        present = self._api.list_repo_files(self._repo_id, repo_type=self._kind, revision=self._before)
        replaced = filter_repo_objects([path for path in present if path not in files], allow_patterns=list(replaces))
        return self._api.create_commit(
            self._repo_id,
            [
                *(CommitOperationAdd(path, str(local)) for path, local in files.items()),
                *(CommitOperationDelete(path) for path in replaced),
            ],
            commit_message=self.title,
            commit_description=self._text.strip(),
            repo_type=self._kind,
            revision=self._branch,
            parent_commit=self._before,
        ).commit_url

    def _head(self) -> str:
        return self._api.repo_info(self._repo_id, repo_type=self._kind, revision=self._branch).sha

    def newer_commits(self) -> list[GitCommitInfo] | None:
        """Commits since the push began, newest first; None if the Hub does not say."""
        try:
            if self._before is None or self._head() == self._before:
                return []
            log = self._api.list_repo_commits(self._repo_id, repo_type=self._kind, revision=self._branch)
        except (HTTPError, OSError):
            return None
        return list(takewhile(lambda commit: commit.commit_id != self._before, log))

    def address_of(self, commit: GitCommitInfo) -> str:
        """The web page of a commit."""
        kind = "" if self._kind == "model" else f"{self._kind}s/"
        return f"{self._api.endpoint}/{kind}{self._repo_id}/commit/{commit.commit_id}"

    def report(self, error: Exception, newer: list[GitCommitInfo] | None) -> str:
        """What failed, what state the repository is in, and what to do."""
        reason, advice = _explain(error)
        return (
            f"the push to the {self._kind} repository {self._repo_id} failed: {reason} ({_first_line(error)}). "
            f"{self._state(newer)} Files on this disk are as they were. What to do: {advice}."
        )

    def _state(self, newer: list[GitCommitInfo] | None) -> str:
        if self._before is None:
            return "Nothing was sent."
        before = self._before[:12]
        if newer is None:
            return (
                f"The repository does not answer; it is at commit {before} as before, or has all of this push, but "
                "nothing between."
            )
        if not newer:
            return f"The repository is as it was before, at commit {before}."
        return (
            f"The repository has nothing of this push; it is now at commit {newer[0].commit_id[:12]}, "
            f"{newer[0].title!r}."
        )


def _cause(error: BaseException) -> BaseException:
    """The error itself; the upload of a large file wraps it in others."""
    while not isinstance(error, (HTTPError, OfflineModeIsEnabled)) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _outcome_is_unknown(error: Exception) -> bool:
    """Whether the Hub may have done what it was asked: it gave no answer, or failed."""
    cause = _cause(error)
    return isinstance(cause, HTTPError) and not (
        isinstance(cause, HfHubHTTPError) and cause.response.status_code < 500
    )


def _explain(error: Exception) -> tuple[str, str]:
    """Why a push failed, and what to do."""
    cause = _cause(error)
    if isinstance(cause, OfflineModeIsEnabled):
        return _OFFLINE
    if not isinstance(cause, HTTPError):
        return _OTHER
    if not isinstance(cause, HfHubHTTPError):
        return _CUT
    status = cause.response.status_code
    if status >= 500 or status in (408, 429):
        return _SERVER_FAILED
    if cause.response.request.method == "PUT":
        return _STORAGE
    return _WHAT_TO_DO.get(status, _REFUSED)


def _first_line(error: Exception) -> str:
    """What the Hub or the connection says, on one line."""
    cause = _cause(error)
    message = getattr(cause, "server_message", None) or str(cause)
    return next((line.strip() for line in message.splitlines() if line.strip()), type(cause).__name__)
