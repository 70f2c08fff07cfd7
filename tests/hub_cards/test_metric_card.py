"""The card of a metric says what the metric says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import metrics_vl
from hub_cards.metric_card import MetricFolder, metric_card, metric_page

METRICS = Path(metrics_vl.__file__).parent
NAMES = sorted(path.parent.name for path in METRICS.glob("*/*.py"))
GIVEN = {"intended_use": "Tests.", "limits": "Everything else.", "code_commit": "0123abc"}


@pytest.mark.parametrize("name", NAMES)
def test_every_metric(name: str) -> None:
    folder = MetricFolder.read(METRICS / name)
    card = metric_card(folder, f"someone/{name}", GIVEN)
    for column in folder.info.features:
        assert f"\n* `{column}`: " in card.text
    assert f'evaluate.load("someone/{name}")' in card.text
    assert "\n```bibtex\n@" in card.text
    assert card.data.tags == ["evaluate", "metric", "vision-language"]
    assert f"<h1>{name}</h1>" in metric_page(folder, f"someone/{name}")


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no m\.py in it"):
        MetricFolder.read(tmp_path / "m")
