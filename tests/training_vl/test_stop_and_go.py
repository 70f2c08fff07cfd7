"""When a task stops and when it goes again, by the paper's rule."""

from __future__ import annotations

import json

import pytest

from training_vl.stop_and_go import StopAndGo


@pytest.mark.parametrize(
    ("scores", "going"),
    [
        # A rise of 0.1 % or more keeps it going; two evaluations without one stop it.
        ([0.5, 0.51, 0.5101, 0.5102], [True, True, True, False]),
        ([0.5, 0.5, 0.51, 0.51, 0.51], [True, True, True, True, False]),
        # Stopped, it goes again only 0.5 % below its best, and then has patience anew.
        ([0.8, 0.8, 0.8, 0.797, 0.795], [True, True, False, False, True]),
        ([0.8, 0.8, 0.8, 0.7, 0.7, 0.7], [True, True, False, True, True, False]),
        # A rise while it is stopped moves the bar.
        ([0.8, 0.8, 0.8, 0.9, 0.894], [True, True, False, False, True]),
        ([0.0, 0.0, 0.0, 0.1], [True, True, False, False]),
    ],
)
def test_the_rule(scores: list[float], going: list[bool]) -> None:
    judge = StopAndGo()
    seen = []
    for score in scores:
        judge.see(score)
        seen.append(judge.is_going)
    assert seen == going


def test_a_checkpoint_keeps_everything() -> None:
    judge, other = StopAndGo(patience=2), StopAndGo(patience=2)
    for score in (0.5, 0.4, 0.4):
        judge.see(score)
    other.load_state_dict(json.loads(json.dumps(judge.state_dict())))
    for one in (judge, other):
        one.see(0.5)
    assert not judge.is_going
    assert other.state_dict() == judge.state_dict()
