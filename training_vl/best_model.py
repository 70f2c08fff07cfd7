"""The best model of a run by one of its scores, and when to stop because nothing gets better."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedModel, ProcessorMixin

logger = logging.getLogger(__name__)

BEST_NAME = "best"
SCORES_NAME = "scores.json"


class BestModel:
    """Keeps the best model so far in `best`, with its step and scores in `best/scores.json`.

    Args:
        output_dir: Of the run.
        metric: Name of the score; more is better.
        patience: Evaluations without a better score after which to stop; None to go on to the end.
    """

    def __init__(self, output_dir: Path, metric: str, patience: int | None = None) -> None:
        self.folder = output_dir / BEST_NAME
        self.metric = metric
        self.patience = patience
        self._value: float | None = None
        self._step: int | None = None
        self._waited = 0

    @property
    def _partial(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.partial")

    @property
    def is_exhausted(self) -> bool:
        """Whether patience is at its end."""
        return self.patience is not None and self._waited >= self.patience

    def see(
        self,
        step: int,
        scores: Mapping[str, float],
        model: PreTrainedModel,
        processor: ProcessorMixin,
        accelerator: Accelerator,
    ) -> None:
        """Take note of an evaluation, and save the model if it is the best; all processes call it together.

        Args:
            step: Steps done.
            scores: Of the evaluation, the same in all processes.
            model: As it was evaluated, not wrapped.
            processor: Saved beside it.
            accelerator: The processes.

        Raises:
            KeyError: If `metric` is none of the scores.
        """
        if self.metric not in scores:
            raise KeyError(f"the evaluation gives no {self.metric!r}, only {', '.join(scores)}")
        value = scores[self.metric]
        if self._value is not None and value <= self._value:
            self._waited += 1
            if self.is_exhausted and accelerator.is_main_process:
                logger.info(
                    "stopped at step %d: %s has not risen above %.4g, of step %d, in %d evaluations",
                    *(step, self.metric, self._value, self._step, self._waited),
                )
            return
        self._value, self._step, self._waited = value, step, 0
        if accelerator.is_main_process:
            self._save(step, scores, model, processor)
        accelerator.wait_for_everyone()

    def load_into(self, model: PreTrainedModel) -> None:
        """Give `model` the best weights; those it has where nothing was evaluated."""
        if self._value is None:
            return
        best = type(model).from_pretrained(self.folder)
        model.load_state_dict(best.state_dict())
        logger.info("the saved model is that of step %d, the best by %s (%.4g)", self._step, self.metric, self._value)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"metric": self.metric, "value": self._value, "step": self._step, "waited": self._waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with `state`.

        Raises:
            FileNotFoundError: If the best model so far is not there.
            ValueError: If it goes by another metric.
        """
        if state["metric"] != self.metric:
            raise ValueError(
                f"the run went by {state['metric']!r}, now by {self.metric!r}: keep the metric of the resumed run"
            )
        # A run that is killed while it replaces its best model leaves the new one under the other name.
        if state["step"] is not None and not (self.folder.is_dir() or self._partial.is_dir()):
            raise FileNotFoundError(
                f"{self.folder} is missing: it holds the best model so far, of step {state['step']}, and belongs to "
                "the checkpoint"
            )
        self._value, self._step, self._waited = state["value"], state["step"], state["waited"]

    def _save(self, step: int, scores: Mapping[str, float], model: PreTrainedModel, processor: ProcessorMixin) -> None:
        partial = self._partial
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        entry = {"step": step, "metric": self.metric, "scores": dict(scores)}
        (partial / SCORES_NAME).write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.replace(partial, self.folder)
