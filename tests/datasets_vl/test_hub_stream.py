from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datasets_vl.streaming import StreamedTrainingData
from tests.datasets_vl.small_shards import epochs_and_captions, keys_and_sums, matched_task, take, write_shards

ROOT = Path(__file__).resolve().parents[2]
SIZES = [70, 1, 130, 29]
COMMIT = "a" * 40

# The library reads HF_ENDPOINT when it is imported, hence a process of its own.
READ_FROM_HUB = """
import json, sys
from datasets_vl.streaming import StreamedTrainingData
from tests.datasets_vl.small_shards import epochs_and_captions, keys_and_sums, matched_task, take

data = [
    StreamedTrainingData(
        "hf://datasets/someone/features/train", matched_task(range(230)), keys_and_sums, batch_size=16,
        num_workers=workers,
    )
    for workers in (0, 2)
]
print(json.dumps([data[0].examples_per_epoch, *(epochs_and_captions(take(each, 30)) for each in data)]))
"""


class Hub(BaseHTTPRequestHandler):
    """What the Hub answers to those who list and read one data set repository."""

    folder: Path
    log: list[tuple[str, str | None]]

    def log_message(self, *arguments: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        paths = [value.split("=")[1].replace("%2F", "/") for value in body.split("&") if value.startswith("paths=")]
        paths = paths or json.loads(body)["paths"]
        self._json([entry for entry in self._entries() if entry["path"] in paths])

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/datasets/someone/features/tree/"):
            self._json([entry for entry in self._entries() if entry["type"] == "file"])
        elif path == "/api/datasets/someone/features" or path.startswith("/api/datasets/someone/features/revision/"):
            self._json(
                {"id": "someone/features", "_id": "1", "sha": COMMIT, "private": False, "tags": [], "siblings": []}
            )
        elif path.startswith("/datasets/someone/features/resolve/"):
            self._file(self.folder / path.rsplit("/", 1)[1])
        else:
            self.send_error(404)

    def _entries(self) -> list[dict[str, object]]:
        files = [path for path in sorted(self.folder.iterdir()) if path.is_file()]
        return [{"type": "directory", "path": "train", "oid": COMMIT}] + [
            {"type": "file", "path": f"train/{path.name}", "size": path.stat().st_size, "oid": COMMIT}
            for path in files
        ]

    def _json(self, content: object) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _file(self, path: Path) -> None:
        data, wanted = path.read_bytes(), self.headers.get("Range")
        self.log.append((path.name, wanted))
        size = len(data)
        if wanted:
            start, end = wanted.removeprefix("bytes=").split("-")
            data = data[int(start) : int(end) + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{COMMIT}"')
        self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{int(start) + len(data) - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[str, Path, list[tuple[str, str | None]]]]:
    folder = write_shards(tmp_path / "shards", SIZES)
    log: list[tuple[str, str | None]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneDataSet", (Hub,), {"folder": folder, "log": log}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder, log
    server.shutdown()
    server.server_close()


def test_data_set_on_the_hub_is_streamed_as_a_local_one(
    hub: tuple[str, Path, list[tuple[str, str | None]]], tmp_path: Path
) -> None:
    """Through huggingface_hub's own file system, in this process and in workers, by requests for parts of files."""
    address, folder, log = hub
    environment = {
        **os.environ,
        "HF_ENDPOINT": address,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
        "no_proxy": "127.0.0.1",
    }
    run = subprocess.run(
        [sys.executable, "-c", READ_FROM_HUB],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    total, *remote = json.loads(run.stdout)
    assert total == len(matched_task(range(230)).captions)
    for workers, seen in zip((0, 2), remote, strict=True):
        near = StreamedTrainingData(
            folder, matched_task(range(230)), keys_and_sums, batch_size=16, num_workers=workers
        )
        assert [tuple(pair) for pair in seen] == epochs_and_captions(take(near, 30))
    shards = [wanted for name, wanted in log if name.endswith(".parquet")]
    assert shards
    assert all(wanted is not None for wanted in shards)
