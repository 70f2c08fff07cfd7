"""A Hub for tests: a server on this machine, and the environment in which the real clients use it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from tests.hub.faults import Fault, Kind, Pause, Request
from tests.hub.repositories import Commit, Repository
from tests.hub.server import HubServer

ROOT = Path(__file__).resolve().parents[2]
USER = "someone"
TOKEN = "hf_token_of_someone"


class Hub:
    """A Hub of one user, `someone`, from entering the context to leaving it.

    huggingface_hub reads its settings when it is imported, so clients run in processes of their own: see `run`.

    Args:
        folder: Where the Hub keeps files, and its clients their caches.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = HubServer(folder / "server", {TOKEN: USER})
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = self._server.url

    def __enter__(self) -> Hub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def requests(self) -> list[Request]:
        """What was asked so far, in order."""
        return self._server.requests

    def repository(self, name: str, kind: str = "model") -> Repository:
        """A repository of `someone`, by the name after the slash."""
        return self._server.store.find(kind, f"{USER}/{name}")

    def content(self, name: str, path: str, kind: str = "model", commit: Commit | None = None) -> bytes:
        """What a file holds, at the head of the main branch or in a commit."""
        files = (commit or self.repository(name, kind).head).files
        return self._server.store.content(files[path].sha256).read_bytes()

    def commit(self, name: str, path: str, content: bytes, kind: str = "model") -> Commit:
        """Puts a file into a repository, as another client of `someone` does meanwhile; the new head."""
        store = self._server.store
        repository, add = self.repository(name, kind), {path: store.keep(content)}
        return store.commit(repository, "main", f"Upload {path}", "", parent=None, add=add, remove=[])

    def uploads(self) -> list[str]:
        """The hashes of the large files whose content was sent as a whole, in order."""
        return [
            request.path.rsplit("/", 1)[1]
            for request in self.requests
            if request.method == "PUT" and request.status == 200
        ]

    def fail(
        self,
        method: str,
        part: str,
        *,
        status: int,
        times: int = 1,
        message: str = "Internal Error",
        code: str | None = None,
    ) -> None:
        """Answers the next requests with an error.

        Args:
            method: HTTP method of these requests.
            part: A part of their path.
            status: Status of the answer.
            times: How many requests.
            message: What the answer says.
            code: The Hub's name of the error, for example `RepoNotFound`.
        """
        self._server.faults.add(Fault(Kind.ANSWER, method, part, times, status, message, code))

    def cut(self, method: str, part: str, *, after: int, times: int = 1) -> None:
        """Cuts the connection of the next requests.

        Args:
            method: HTTP method of these requests.
            part: A part of their path.
            after: Bytes that get through: of the file that is sent, or, with GET, that is fetched.
            times: How many requests.
        """
        self._server.faults.add(Fault(Kind.CUT, method, part, times, after=after))

    def lose_answer(self, method: str, part: str) -> None:
        """Does what the next such request asks, and cuts the connection before the answer."""
        self._server.faults.add(Fault(Kind.LOST, method, part))

    def pause(self, method: str, part: str) -> Pause:
        """Holds up the next such request, until the result is released."""
        fault = Fault(Kind.PAUSE, method, part)
        self._server.faults.add(fault)
        return fault.pause

    def environment(self, home: str = "home", **changes: str) -> dict[str, str]:
        """The environment of a client process.

        Args:
            home: Name of the client's home, with its caches; another name is another machine.
            **changes: Variables to set besides.

        Returns:
            This process's environment, with everything that concerns the Hub replaced.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING_FACE_", "TRANSFORMERS_")) and not name.lower().endswith("_proxy")
        }
        return {
            **kept,
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(self._folder / home),
            "HF_HUB_DISABLE_XET": "1",  # the stand-in stores large files as LFS does
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # evaluate counts downloads on a server of its own
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "no_proxy": "127.0.0.1,localhost",
            **changes,
        }

    def run(
        self, script: str, *arguments: str | Path, home: str = "home", **changes: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a client script in a process of its own and waits for its end.

        Args:
            script: Python source.
            *arguments: Its command line.
            home: See `environment`.
            **changes: See `environment`.

        Returns:
            The finished process, with what it printed.
        """
        return subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=ROOT,
            env=self.environment(home, **changes),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def output(self, script: str, *arguments: str | Path, home: str = "home", **changes: str) -> str:
        """What a client script printed that must end well; see `run` for the arguments."""
        done = self.run(script, *arguments, home=home, **changes)
        assert done.returncode == 0, done.stderr
        return done.stdout
