"""The card of a metric says what the metric says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import metrics_vl
from hub_cards.metric_card import MetricFolder, metric_card, metric_page
from metrics_vl.metric_folder import metric_names

METRICS = Path(metrics_vl.__file__).parent
GIVEN = {"intended_use": "Tests.", "limits": "Everything else.", "code_commit": "0123abc"}


@pytest.mark.parametrize("name", metric_names())
def test_every_metric(name: str) -> None:
    folder = MetricFolder.read(METRICS / name)
    card = metric_card(folder, f"someone/{name}", GIVEN)
    for column in folder.info.features:
        assert f"\n* `{column}`: " in card.text
    assert f'evaluate.load("someone/{name}")' in card.text
    assert "\n```bibtex\n@" in card.text
    summary = card.data.short_description
    words = summary.removesuffix("…").split()
    assert 0 < len(summary) <= 60
    assert folder.description.replace(":", "").split()[: len(words)] == words  # none is cut
    assert card.data.tags == ["evaluate", "metric", "vision-language"]
    assert f"<h1>{name}</h1>" in metric_page(folder, f"someone/{name}")


def test_other_folders(tmp_path: Path) -> None:
    for folder in (METRICS, tmp_path / "vqa_accuracy"):
        with pytest.raises(ValueError, match="is none of the metrics of this package: gqa_accuracy, "):
            MetricFolder.read(folder)
