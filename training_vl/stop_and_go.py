"""Dynamic stop-and-go: a task that no longer gets better rests, until it gets worse (12-in-1, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class StopAndGo:
    """Whether a task trains in every iteration ("go") or only now and then ("stop").

    The numbers are those of the paper: a task stops when its score has not risen by 0.1 % over two evaluations, and
    goes again when it falls 0.5 % below its best.

    Args:
        patience: Evaluations without a rise that are borne; one more stops the task.
        stop_threshold: Share of the best score by which a score must exceed it to count as a rise.
        go_threshold: Share of the best score by which a score must fall below it for the task to go again.
    """

    def __init__(self, patience: int = 1, stop_threshold: float = 0.001, go_threshold: float = 0.005) -> None:
        self.patience = patience
        self.stop_threshold = stop_threshold
        self.go_threshold = go_threshold
        self.is_going = True
        self._best: float | None = None
        self._waited = 0

    def see(self, score: float) -> None:
        """Take note of an evaluation's `score`; more is better."""
        if self._best is None or score > self._best * (1 + self.stop_threshold):
            self._best, self._waited = score, 0
        else:
            self._waited += 1
        if self.is_going:
            self.is_going = self._waited <= self.patience
        elif score < self._best * (1 - self.go_threshold):
            self.is_going, self._waited = True, 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"is_going": self.is_going, "best": self._best, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with `state`."""
        self.is_going, self._best, self._waited = state["is_going"], state["best"], state["waited"]
