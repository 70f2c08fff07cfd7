"""Steps of a run, and how the examples of a step are divided."""

from __future__ import annotations

import pytest

from training_vl.arguments import TrainingArguments
from training_vl.training_loop import BatchSizes, count_steps, divide_batch


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "world_size", "expected"),
    [(512, 64, 8, (64, 1)), (512, 64, 1, (64, 8)), (512, None, 2, (256, 1)), (12, 3, 2, (3, 2))],
)
def test_dividing_the_batch(
    batch_size: int, micro_batch_size: int | None, world_size: int, expected: tuple[int, int]
) -> None:
    arguments = TrainingArguments(batch_size=batch_size, micro_batch_size=micro_batch_size)
    assert divide_batch(arguments, world_size) == BatchSizes(*expected)


@pytest.mark.parametrize(("micro_batch_size", "world_size"), [(5, 1), (8, 2), (None, 3), (None, 16)])
def test_a_batch_that_cannot_be_divided_is_refused(micro_batch_size: int | None, world_size: int) -> None:
    arguments = TrainingArguments(batch_size=8, micro_batch_size=micro_batch_size)
    with pytest.raises(ValueError, match=rf"batch_size 8 is no multiple of {world_size} processes"):
        divide_batch(arguments, world_size)


def test_steps_of_a_run() -> None:
    assert count_steps(TrainingArguments(batch_size=8, num_epochs=2.5), 30) == 10
    assert count_steps(TrainingArguments(batch_size=8, num_epochs=2.5, max_steps=3), 30) == 3
