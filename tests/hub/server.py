"""The Hub's answers over HTTP: reads requests, lets faults happen, keeps a record."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.answers import Answer, Call, answer
from tests.hub.faults import Fault, Faults, Kind, Request
from tests.hub.repositories import HubError, Store


class ConnectionCut(Exception):
    """The connection ends here, on purpose."""


class HubServer(ThreadingHTTPServer):
    """A server on this machine, on a port that the system chooses.

    Args:
        folder: Where it keeps the content of files.
        users: User name by token.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, users: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), HubRequest)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.users = users
        self.store = Store(folder)
        self.faults = Faults()
        self.requests: list[Request] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to report; anything else is a mistake of this server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class HubRequest(BaseHTTPRequestHandler):
    """One client's requests."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *arguments: object) -> None:
        """Quiet: the server has a record of its own."""

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = self.server.faults.take(self.command, path)
        self._received = 0
        try:
            made = self._answer(fault)
        except HubError as error:
            headers = {"X-Error-Message": error.message} | ({"X-Error-Code": error.code} if error.code else {})
            made = Answer({"error": error.message}, error.status, headers)
        except ConnectionCut:
            made = None
        made = made and self._as_bytes(made)
        self.server.requests.append(
            Request(self.command, path, self.headers.get("Range"), self._received, made.status if made else 0)
        )
        if made is None or not self._send(made, fault):
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _answer(self, fault: Fault | None) -> Answer:
        if fault and fault.kind is Kind.PAUSE:
            fault.pause.hold()
        body = self._body(fault)
        if fault and fault.kind is Kind.ANSWER:
            raise HubError(fault.status, fault.message, fault.code)
        address = urlsplit(self.path)
        call = Call(self.server.url, self.server.store, self._user(), body, parse_qs(address.query))
        made = answer(self.command, address.path, call)
        if fault and fault.kind is Kind.LOST:
            raise ConnectionCut
        return made

    def _user(self) -> str | None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.server.users:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.server.users.get(token)

    def _body(self, fault: Fault | None) -> bytes:
        left = fault.after if fault and fault.kind is Kind.CUT and self.command in ("POST", "PUT") else None
        body = bytearray()
        for size in self._pieces():
            take = size if left is None else min(size, left - len(body))
            body += self.rfile.read(take)
            self._received = len(body)
            if take < size:
                raise ConnectionCut
        return bytes(body)

    def _pieces(self) -> Iterator[int]:
        """Sizes of the pieces of the body, each to be read before the next is asked for."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            yield int(self.headers.get("Content-Length", 0))
            return
        while size := int(self.rfile.readline(), 16):
            yield size
            self.rfile.readline()
        self.rfile.readline()

    def _as_bytes(self, made: Answer) -> Answer:
        """The answer with the bytes that its body consists of: of a file, the part that was asked for."""
        if isinstance(made.content, bytes):
            return made
        if not isinstance(made.content, Path):
            return replace(made, content=json.dumps(made.content).encode())
        content, headers = made.content.read_bytes(), {**made.headers, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return replace(made, content=content, headers=headers)
        start, size = int(wanted[1]), len(content)
        content = content[start : int(wanted[2]) + 1 if wanted[2] else size]
        headers["Content-Range"] = f"bytes {start}-{start + len(content) - 1}/{size}"
        return Answer(content, 206, headers)

    def _send(self, made: Answer, fault: Fault | None) -> bool:
        """Sends an answer; False if it was cut."""
        self.send_response(made.status)
        for name, value in {**made.headers, "Content-Length": str(len(made.content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return True
        cut = fault is not None and fault.kind is Kind.CUT
        self.wfile.write(made.content[: fault.after] if cut else made.content)
        return not cut
