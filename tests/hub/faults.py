"""What a server does wrong on purpose, and the record of what it was asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How a request goes wrong."""

    ANSWER = "the answer is an error"
    CUT = "the connection is cut within the body of the request, or of the answer to a GET"
    LOST = "what is asked is done, but the connection is cut before the answer"
    STALL = "the request arrives, nothing is done, and the client waits until it ends"


@dataclass
class Fault:
    """What goes wrong with the next requests of a method whose path contains a text.

    Attributes:
        kind: How they go wrong.
        method: Their HTTP method.
        part: A part of their path.
        times: How many of them still meet it.
        status: With `ANSWER`, the status of the answer.
        message: With `ANSWER`, what it says.
        code: With `ANSWER`, the Hub's name of the error.
        after: With `CUT`, the bytes that get through.
    """

    kind: Kind
    method: str
    part: str
    times: int = 1
    status: int = 500
    message: str = "Internal Error"
    code: str | None = None
    after: int = 0


@dataclass(frozen=True)
class Request:
    """A request that a server got.

    Attributes:
        method: HTTP method.
        path: Path without its query.
        range: The part of a file that was asked for, as the header says it.
        received: Bytes of the request's body that arrived.
        status: Status of the answer; 0 if there was none.
    """

    method: str
    path: str
    range: str | None
    received: int
    status: int


class Faults:
    """The faults that are still to happen.

    Attributes:
        stalled: Set when a request has met a `STALL`.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self.stalled = threading.Event()

    def add(self, fault: Fault) -> None:
        """Lets a fault happen."""
        with self._lock:
            self._faults.append(fault)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            for fault in self._faults:
                if fault.method == method and fault.part in path and fault.times:
                    fault.times -= 1
                    return fault
        return None

    def clear(self) -> None:
        """From now on everything works."""
        with self._lock:
            self._faults.clear()
        self.stalled.clear()
