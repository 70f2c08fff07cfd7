"""Metrics are loaded from Spaces by people who have none of our packages, and give the same scores."""

from __future__ import annotations

import json
from pathlib import Path

from metrics_vl.metric_folder import metric_names, write_metric_folder
from metrics_vl.shares import flat
from tests.hub.hub import Hub
from tests.metrics_vl.metric_runs import CASES, IDS, rows_of

PUSH = """
import sys
from datasets_vl.hub_push import push_folder

for folder in sys.argv[1:]:
    push_folder(folder, f"someone/{folder.rsplit('/', 1)[1]}", kind="space", replaces=["*.py"])
"""

LOAD = """
import json, sys
from tests.integration import load_remotely
import evaluate

print(json.dumps({name: evaluate.load(f"someone/{name}").compute(**rows, **settings)
                  for name, rows, settings in json.loads(sys.argv[1])}))
"""


def test_every_metric_loads_from_its_space(hub: Hub, tmp_path: Path) -> None:
    names = metric_names()
    assert names == sorted(CASES)
    for name in names:
        write_metric_folder(name, tmp_path / name)
    hub.output(PUSH, *(tmp_path / name for name in names))
    jobs = [(name, rows_of(CASES[name], range(5)), CASES[name].settings) for name in names]
    scores = json.loads(hub.output(LOAD, json.dumps(jobs), home="elsewhere").splitlines()[-1])
    for name, case in CASES.items():
        keyed = (dict(zip(IDS, column, strict=True)) for column in (case.predictions, case.references))
        assert scores[name] == json.loads(json.dumps(flat(case.score(*keyed)))), name
