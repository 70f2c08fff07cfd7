"""Noticing that fewer processes run than were asked for (for real launches see test_two_processes.py)."""

from __future__ import annotations

import logging

import pytest

from tests.tiny_models import vilbert_config, visualbert_config
from training_vl.distributed import check_world_size, leaves_parameters_unused


@pytest.mark.parametrize(
    ("world_size", "expected", "environment", "message"),
    [
        (1, None, {}, None),
        (2, 2, {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, None),
        (1, 2, {}, "2 PROCESSES WERE EXPECTED, BUT 1 RUN"),
        (4, 2, {"WORLD_SIZE": "4"}, "2 PROCESSES WERE EXPECTED, BUT 4 RUN"),
        # What `accelerate launch --cpu --num_processes 2` leaves in the environment.
        (1, None, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}, "SEVERAL PROCESSES WERE ASKED FOR"),
    ],
)
def test_a_wrong_number_of_processes_is_warned_about(
    world_size: int,
    expected: int | None,
    environment: dict[str, str],
    message: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "training_vl"):
        check_world_size(world_size, expected, environment)
    assert [message is not None and message in record.getMessage() for record in caplog.records] == (
        [True] if message else []
    )


def test_processes_that_did_not_find_each_other_stop() -> None:
    with pytest.raises(RuntimeError, match="2 processes were launched, but only 1 found together"):
        check_world_size(1, None, {"WORLD_SIZE": "2"})


def test_which_models_leave_parameters_without_gradient() -> None:
    assert not leaves_parameters_unused(vilbert_config())
    assert not leaves_parameters_unused(visualbert_config())
    assert leaves_parameters_unused(vilbert_config(frozen_text_layers=1))
    assert leaves_parameters_unused(vilbert_config(use_coattention=False))
    assert leaves_parameters_unused(vilbert_config(fusion_method="text", region_targets={}))
