"""What a server does wrong on purpose, and the record of what it was asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """How a request goes wrong."""

    ANSWER = "the answer is an error"
    CUT = "the connection is cut within the body of the request, or of the answer to a GET"
    LOST = "what is asked is done, but the connection is cut before the answer"
    PAUSE = "the request waits until it is released"


class Pause:
    """A request that is held up.

    Attributes:
        arrived: Set when it has arrived.
        released: Set when it may go on.
    """

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()

    def hold(self) -> None:
        """Waits for the release."""
        self.arrived.set()
        self.released.wait()


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
        pause: With `PAUSE`, how to wait for the request and release it.
    """

    kind: Kind
    method: str
    part: str
    times: int = 1
    status: int = 500
    message: str = "Internal Error"
    code: str | None = None
    after: int = 0
    pause: Pause = field(default_factory=Pause)


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
    """The faults that are still to happen."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

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
