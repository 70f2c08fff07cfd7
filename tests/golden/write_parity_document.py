"""Writes docs/parity.md from the full golden set.

GOLDEN_FIXTURES=folder python -m tests.golden.write_parity_document
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
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
KINDS = {
    "states": "states",
    "attention": "attention",
    "pooled": "pooled",
    "logits": "logits",
    "scores": "logits",
    "loss": "losses",
}
"""Columns by kinds of output."""
COLUMNS = tuple(dict.fromkeys(KINDS.values()))

INTRODUCTION = """# Parity with the original code

Golden files hold weights, inputs and outputs of six public code bases. Their weights are converted by
`modeling_vl.conversion`, and the converted models' numbers are held against the stored ones in float32 on one thread:
every state, attention map, pooled vector, logit and loss within {tolerance:g}, under each attention backend, padded
and packed. A loss so large that float32 has no steps as small as that is compared as the mean it sums up. An output
that is stored and neither compared nor listed below fails the test. This document is written by

    {command}

and was written with torch {torch}, transformers {transformers}, Python {python} on {machine}.

Padded runs are compared at every place, padding included; packed runs at real words and regions, and their padding
must be exactly zero. Scores of regions are compared at real regions; those of padding must be hopeless. Attention
weights exist under the eager backend only: asking for them switches any other to it.

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
* `linguisic_logit`, a score for each word piece, is in vilbert_beta's and vilbert-multi-task's checkpoints; no task
  reads it, and it is dropped by name.
* vilbert-multi-task scores pairs of images whenever a batch is even and alignment when it is odd. Ours asks for the
  task instead.
* MMF's ViLBERT takes neighbouring rows for the two images of an NLVR2 statement, although its batch holds all first
  images, then all second ones. Ours pairs the right ones (`scores_if_pairing_were_correct`); its classifier fed with
  the wrong pairs gives MMF's `scores`.
* The originals add -10000 to the score of a padded region, ours is the lowest number there is.
* transformers' `VisualBertForQuestionAnswering` returns log-probabilities when it is given labels, and logits when
  not. Ours returns logits.
* vilbert_beta's `basebert.py` gives regions no position; ours adds a row of zeros.
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
    left_out: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    classes: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for name in tqdm(compared, desc="golden files", unit="file"):
        golden = fixtures.load(folder, name)
        results = [compare_file(golden, backend, layout) for backend, layout in runs]
        compared_kinds = {c.name: KINDS[c.kind] for c in results[0] if c.difference is not None}
        counts = Counter(compared_kinds.values())
        cells = [str(counts[column]) for column in COLUMNS] + [_worst(result) for result in results]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
        for comparison in results[0]:
            if comparison.by and KINDS[comparison.kind] == "logits":
                classes[_head(name, comparison.name)].add(comparison.by)
            if comparison.difference is None:
                left_out[comparison.reason][name].append(f"`{comparison.name}`")
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
    parts = [introduction + "\n".join(rows), _classes_section(classes), _gradient_section(gradients)]
    parts.append(_left_out_section(left_out))
    return "\n\n".join([*parts, _files_section(names, compared), DELIBERATE])


def _worst(comparisons: list[Comparison]) -> str:
    return f"{max(c.difference for c in comparisons if c.difference is not None):.1e}"


def _head(name: str, output: str) -> tuple[str, str, str]:
    """Code base, class and head of a stored output, without what tells one set of inputs from another."""
    return fixtures.code_base_of(name), re.sub(r".*?_[A-Z]_", "", name), output.rpartition(".")[2]


def _classes_section(classes: dict[tuple[str, str, str], set[str]]) -> str:
    lines = [
        "## Which of our classes computes which head",
        "",
        "A fine-tuned checkpoint is converted once for each of its heads.",
        "",
        "| code base | its class or head type | stored output | our classes |",
        "| --- | --- | --- | --- |",
    ]
    for head, names in sorted(classes.items()):
        code_base, kind, output = head
        lines.append(f"| {code_base} | `{kind}` | `{output}` | {', '.join(f'`{name}`' for name in sorted(names))} |")
    return "\n".join(lines)


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


def _left_out_section(left_out: Mapping[str, Mapping[str, list[str]]]) -> str:
    lines = ["## Stored outputs that are not compared"]
    for reason, outputs in left_out.items():
        lines += ["", f"{reason[0].upper()}{reason[1:]}:", ""]
        lines += [f"* `{name}`: {', '.join(found)}" for name, found in sorted(outputs.items())]
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
