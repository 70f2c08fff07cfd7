"""Writes docs/parity.md from the full golden set.

GOLDEN_FIXTURES=folder python -m tests.golden.write_parity_document
"""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter, defaultdict
from pathlib import Path

import torch
import transformers
from tqdm import tqdm

from tests.golden import fixtures
from tests.golden.gradients import GRADIENTS, RELATIVE_TOLERANCE, our_norms
from tests.golden.harness import BACKENDS, LAYOUTS, TOLERANCE, Case, Comparison
from tests.golden.parity import compare_file

DOCUMENT = Path(__file__).parents[2] / "docs" / "parity.md"
COMMAND = "GOLDEN_FIXTURES=folder python -m tests.golden.write_parity_document"
KINDS = ("states", "attention", "pooled", "logits", "loss")

INTRODUCTION = """# Parity with the original code

Golden files hold weights, inputs and outputs of six public code bases. Their weights are converted by
`modeling_vl.conversion`, and the converted models' numbers are held against the stored ones in float32 on one thread:
every state, attention map, pooled vector, logit and loss within {tolerance:g}, under each attention backend, padded
and packed. An output that is stored and neither compared nor listed below fails the test. This document is written by

    {command}

and was written with torch {torch}, transformers {transformers}, Python {python} on {machine}.

Padded runs are compared at every place, padding included; packed runs at real words and regions, and their padding
must be exactly zero. Attention weights exist under the eager backend only: asking for them switches any other to it.

## Largest absolute differences

The columns `states` to `losses` count the stored tensors that are compared.

| golden file | states | attention | pooled | logits | losses | {columns} |
| --- | --- | --- | --- | --- | --- | {rules} |
"""

DELIBERATE = """## Different on purpose

* Where a region loss has nothing to predict, vilbert_beta and vilbert-multi-task divide 0 by 0; ours is 0 and keeps
  its gradient path (tested).
* Row 0 of the alignment head is the match in every converted model. uclanlp trains row 1: its rows are swapped, and
  the comparison swaps our columns back.
* A masked-region label on padding counts nowhere in ours.
* `co_attention_mask`: none of the code bases' encoders ever hands it to a layer. It is not ported.
* `output_all_encoded_layers` makes the originals stop at the last co-attention layer and pool there. Ours records
  every state; the stored ones are found among them, and their pooled vectors follow from them.
* MMF hands task ids to the argument that means positions; ours takes `position_ids` and gives the same numbers.
* With `model: roberta` vilbert-multi-task overwrites the positions again and computes what `bert` computes. So do we.
* VOLTA's ViLBERT may share a sub-layer between text and image. After conversion each stream has its own copy.
"""


def main() -> None:
    """Compare everything and write the document."""
    folder = os.environ.get("GOLDEN_FIXTURES")
    if not folder or not Path(folder).is_dir():
        sys.exit("GOLDEN_FIXTURES must name the folder of the full golden set")
    torch.set_num_threads(1)
    DOCUMENT.write_text(document(Path(folder)), encoding="utf-8")
    print(f"wrote {DOCUMENT}")


def document(folder: Path) -> str:
    """The document's text."""
    names = fixtures.names_in(folder)
    compared = [name for name in names if fixtures.code_base_of(name)]
    runs = [(backend, layout) for backend in BACKENDS for layout in LAYOUTS]
    rows, gradients = [], []
    left_out: dict[str, Counter[str]] = defaultdict(Counter)
    for name in tqdm(compared, desc="golden files", unit="file"):
        golden = fixtures.load(folder, name)
        results = [compare_file(golden, backend, layout) for backend, layout in runs]
        kinds = Counter(comparison.kind for comparison in results[0] if comparison.difference is not None)
        cells = [str(kinds[kind]) for kind in KINDS] + [_worst(result) for result in results]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
        for comparison in results[0]:
            if comparison.difference is None:
                left_out[comparison.reason][f"`{name}`: `{comparison.name.partition('.')[0]}`"] += 1
        if GRADIENTS in golden.meta:
            gradients.append(f"* `{name}`: {_gradients(golden)}")
    introduction = INTRODUCTION.format(
        tolerance=TOLERANCE,
        command=COMMAND,
        torch=torch.__version__,
        transformers=transformers.__version__,
        python=platform.python_version(),
        machine=platform.machine(),
        columns=" | ".join(f"{backend}, {layout}" for backend, layout in runs),
        rules=" | ".join("---" for _ in runs),
    )
    parts = [introduction + "\n".join(rows), _gradient_section(gradients), _left_out_section(left_out)]
    return "\n\n".join([*parts, _files_section(names, compared), DELIBERATE])


def _worst(comparisons: list[Comparison]) -> str:
    return f"{max(c.difference for c in comparisons if c.difference is not None):.1e}"


def _gradients(golden: fixtures.GoldenFile) -> str:
    stored, ours = golden.meta[GRADIENTS], our_norms(Case(golden))
    with_gradient = {name: norm for name, norm in stored.items() if norm}
    # Softmax does not see a key's bias: its gradient is rounding noise in both codes.
    worst = max(abs(ours[name] - norm) / norm for name, norm in with_gradient.items() if norm > 1e-6)
    return f"{len(stored)} weights, {len(stored) - len(with_gradient)} without a gradient in both, worst {worst:.1e}"


def _gradient_section(lines: list[str]) -> str:
    return "\n".join(
        [
            "## Gradients of the whole pre-training loss",
            "",
            f"Norm of every weight's gradient, relative difference at most {RELATIVE_TOLERANCE:g}:",
            "",
            *lines,
        ]
    )


def _left_out_section(left_out: dict[str, Counter[str]]) -> str:
    lines = ["## Stored outputs that are not compared"]
    for reason, outputs in left_out.items():
        lines += ["", f"{reason[0].upper()}{reason[1:]}:", ""]
        lines += [f"* {name} ({count})" for name, count in sorted(outputs.items())]
    return "\n".join(lines)


def _files_section(names: list[str], compared: list[str]) -> str:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if name not in compared:
            by_reason[fixtures.reason_not_compared(name)].append(name)
    lines = ["## Golden files that are not compared here"]
    for reason, found in sorted(by_reason.items()):
        lines += ["", f"{reason[0].upper()}{reason[1:]}:", "", ", ".join(f"`{name}`" for name in found)]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
