"""Measure speed and memory against peers, and write what came out.

    python -m benchmarks                          all rows that are not measured yet
    python -m benchmarks --only visualbert vqa    these again

Every row runs in a process of its own and leaves a JSON file in the output folder, so a stopped benchmark goes on
where it was. `table.md` and `plot.png` there are made of all rows that are measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROW_SECONDS = 300
"""No row may take longer; a hanging one must not keep the others from being measured."""


def main() -> None:
    """Read the command line, measure, and report."""
    from .rows import ROWS

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", choices=ROWS, metavar="ROW", help=f"measure these again: {', '.join(ROWS)}"
    )
    parser.add_argument("--output", type=Path, default=Path("bench_output"), help="folder of the results")
    parser.add_argument("--measure", choices=ROWS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.measure:
        measure(arguments.measure, arguments.output)
        return
    failed = [name for name in ROWS if not _measured(name, arguments.output, arguments.only)]
    from .report import write_report

    write_report(arguments.output)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}; see the messages above")


def measure(name: str, output: Path) -> None:
    """Measure one row in this process, and write it whole or not at all.

    Args:
        name: The row.
        output: Folder of the results.
    """
    from .rows import ROWS

    load, start = os.getloadavg()[0], time.perf_counter()
    result = ROWS[name].measure()
    entry = {
        "row": name,
        "title": ROWS[name].title,
        "result": result,
        "took": time.perf_counter() - start,
        "load_before": load,
        "machine": machine(),
    }
    path = output / f"{name}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch
    import transformers

    cpu = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        lines = information.read_text(encoding="utf-8").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _measured(name: str, output: Path, only: list[str] | None) -> bool:
    if only is None and (output / f"{name}.json").is_file():
        print(f"{name}: measured already")
        return True
    if only is not None and name not in only:
        return True
    print(f"{name}: measuring", flush=True)
    command = [sys.executable, "-m", "benchmarks", "--measure", name, "--output", str(output)]
    try:
        return subprocess.run(command, timeout=ROW_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{name}: took more than {ROW_SECONDS} seconds")
        return False


if __name__ == "__main__":
    main()
