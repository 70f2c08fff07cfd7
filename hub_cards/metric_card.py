"""The card of a metric: the README of the Space that `evaluate.load` reads it from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import evaluate
from evaluate import EvaluationModuleInfo
from huggingface_hub import SpaceCard, SpaceCardData

import metrics_vl
from datasets_vl.code_version import code_commit, library_versions
from metrics_vl.metric_folder import metric_names

from .asked import METRIC
from .fields import fill
from .rendering import citations, fill_template, render

_CITATIONS = {
    "gqa_accuracy": "hudson2019gqa",
    "nlvr2_accuracy": "suhr2019corpus",
    "phrase_recall": "plummer2015flickr30k",
    "referring_accuracy": "yu2016modeling",
    "retrieval_recall": "karpathy2015deep",
    "snli_ve_accuracy": "xie2019visual",
    "vcr_accuracy": "zellers2019recognition",
    "vqa_accuracy": "goyal2017making",
}
"""What introduced the benchmark that a metric is for."""
_LONGEST_SUMMARY = 60
"""Characters that the Hub allows the `short_description` of a Space."""


@dataclass(frozen=True)
class MetricFolder:
    """A metric of this package.

    Attributes:
        path: Its folder.
        info: What the metric says of itself.
    """

    path: Path
    info: EvaluationModuleInfo

    @classmethod
    def read(cls, path: str | Path) -> MetricFolder:
        """Read a folder by loading the metric.

        Args:
            path: The folder.

        Returns:
            What it says.

        Raises:
            ValueError: It is none of the metrics of this package.
        """
        path = Path(path).resolve()
        if path.name not in metric_names() or path.parent != Path(metrics_vl.__file__).resolve().parent:
            raise ValueError(f"{path} is none of the metrics of this package: {', '.join(metric_names())}")
        return cls(path, evaluate.load(str(path)).info)

    @property
    def description(self) -> str:
        """What the metric is, in a sentence or two."""
        return inspect.cleandoc(self.info.description).strip()


def metric_card(folder: MetricFolder, name: str, given: Mapping[str, Any]) -> SpaceCard:
    """Write the card of a metric.

    Args:
        folder: The metric.
        name: Hub id it shall have.
        given: What a person says, by name of the field.

    Returns:
        The card.

    Raises:
        UnfilledCard: Naming the fields that neither files nor `given` fill.
    """
    values = fill(METRIC, {"code_commit": code_commit()}, given, folder.path)
    metric, info = folder.path.name, folder.info
    summary = folder.description.partition("\n")[0].partition(":")[0]
    data = SpaceCardData(
        title=metric,
        sdk="static",
        app_file="index.html",
        license="apache-2.0",
        tags=["evaluate", "metric", "vision-language"],
        short_description=shorten(summary, _LONGEST_SUMMARY, placeholder="…"),
    )
    inputs, _, outputs = inspect.cleandoc(info.inputs_description).partition("Returns:")
    return render(
        SpaceCard,
        "metric.md",
        data,
        metric=metric,
        hub_id=name,
        description=folder.description,
        inputs=_entries(inputs.partition("Args:")[2]),
        outputs=" ".join(outputs.split()),
        features=str(info.features),
        urls=info.reference_urls,
        values=values,
        version=library_versions().get("modeling-vl", "unknown"),
        citations=citations([_CITATIONS[metric]]),
    )


def metric_page(folder: MetricFolder, name: str) -> str:
    """The page that the Space of a metric shows.

    Args:
        folder: The metric.
        name: Hub id of the Space.

    Returns:
        HTML.
    """
    return fill_template("metric.html", metric=folder.path.name, hub_id=name, description=folder.description)


def _entries(section: str) -> list[tuple[str, str]]:
    """Names and descriptions of an `Args:` section."""
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return [(name, " ".join(text.split())) for name, text in found]
