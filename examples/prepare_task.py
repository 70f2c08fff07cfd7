r"""Prepare a benchmark: join its official annotation files with region features.

    python examples/prepare_task.py vqa data/vqa --split train --regions features/train2014 \
        --questions v2_OpenEnded_mscoco_train2014_questions.json \
        --annotations v2_mscoco_train2014_annotations.json --vocabulary trainval_label2ans.pkl
    python examples/prepare_task.py vqa data/vqa --split test --regions features/test2015 \
        --questions v2_OpenEnded_mscoco_test2015_questions.json

The folder then holds `<split>.parquet`, `task.json` (labels, counts) and `<split>.missing.json` (images without
features, and features without annotations). The features stay where they are. The answers that a model shall know are
given (`--vocabulary`), built from the training split (`--build-vocabulary`), or those the folder has already.

    python examples/prepare_task.py vcr data/vcr --split val --regions features/vcr --annotations val.jsonl \
        --images vcr1images
    python examples/prepare_task.py nlvr2 data/nlvr2 --split dev --regions features/nlvr2 --annotations dev.json

Regions that shall be the boxes of a known detector are held against its file, which the measurements then name:

    python examples/prepare_task.py refcoco data/refcoco --split val --regions features/refcoco \
        --refs "refs(unc).p" --instances instances.json --detections res101_coco_minus_refer_notime_dets.json

`python examples/prepare_task.py TASK --help` lists the files a benchmark wants. A run that was interrupted is started
again with the same arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_vl.command_line import CommandLine, tells_mistakes

if TYPE_CHECKING:
    from datasets_vl.tasks.benchmark import Option
    from datasets_vl.tasks.prepare import PreparedSplit

_OPTION = "option_"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from datasets_vl.tasks.registry import BENCHMARKS

    parser = CommandLine(__doc__)
    commands = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for benchmark in BENCHMARKS.values():
        command = commands.add_parser(benchmark.name, help=benchmark.summary, description=benchmark.summary)
        command.add_argument("folder", type=Path, help="where the prepared data go")
        command.add_argument(
            "--split", required=True, help="name of the split; of the official one, where a file has several"
        )
        command.add_argument(
            "--regions", required=True, nargs="+", help="folders of region shards, or hf:// addresses"
        )
        for name, option in benchmark.options.items():
            _add_option(command, name, option)
        if benchmark.min_answer_count is not None:
            _add_vocabulary(command, benchmark.min_answer_count)
        if benchmark.read_proposals is not None:
            command.add_argument(
                "--detections",
                help="boxes that the regions of every image must be, a global region aside: MAttNet's "
                "res101_coco_minus_refer_notime_dets.json, or another file of its layout; measurements then name them",
            )
    return parser.parse_args()


def _add_option(command: argparse.ArgumentParser, name: str, option: Option) -> None:
    command.add_argument(
        f"--{name.replace('_', '-')}",
        dest=_OPTION + name,
        required=option.required,
        metavar=None if option.choices else name.upper(),
        nargs="+" if option.many else None,
        choices=option.choices,
        help=option.help,
    )


def _add_vocabulary(command: argparse.ArgumentParser, min_count: int) -> None:
    source = command.add_mutually_exclusive_group()
    source.add_argument(
        "--vocabulary", help="answers to know: trainval_label2ans.pkl, trainval_ans2label.pkl, json or txt"
    )
    source.add_argument("--build-vocabulary", action="store_true", help="take the frequent answers of this split")
    command.add_argument(
        "--min-count", type=int, help=f"how often an answer must occur to be built in (default: {min_count})"
    )


def prepare(arguments: argparse.Namespace) -> PreparedSplit:
    """Prepare the split that the `arguments` name."""
    from datasets_vl.tasks.prepare import VocabularySource, prepare_split
    from datasets_vl.tasks.registry import BENCHMARKS

    benchmark = BENCHMARKS[arguments.task]
    values = {name: getattr(arguments, _OPTION + name) for name in benchmark.options}
    options = {name: value for name, value in values.items() if value is not None}
    vocabulary, proposals = None, None
    if benchmark.read_proposals is not None and arguments.detections:
        proposals = benchmark.read_proposals(arguments.detections, options)
    if benchmark.min_answer_count is not None:
        if arguments.min_count is not None and not arguments.build_vocabulary:
            raise ValueError("--min-count goes with --build-vocabulary")
        if arguments.vocabulary or arguments.build_vocabulary:
            vocabulary = VocabularySource(file=arguments.vocabulary, min_count=arguments.min_count)
    return prepare_split(
        benchmark,
        arguments.folder,
        split=arguments.split,
        regions=arguments.regions,
        options=options,
        vocabulary=vocabulary,
        proposals=proposals,
    )


def describe(report: PreparedSplit) -> list[str]:
    """What the `report` says, in lines."""
    lines = [f"{report.records} records about {report.images} images"]
    for reason, count in report.left_out.items():
        lines.append(f"  {count} annotations left out: {reason}")
    if report.without_features:
        lost = sum(report.without_features.values())
        images = _some(list(report.without_features))
        lines.append(f"  {len(report.without_features)} images without features, {lost} times wanted: {images}")
    if report.without_annotations:
        images = _some(report.without_annotations)
        lines.append(f"  {len(report.without_annotations)} images with features and no annotation: {images}")
    if report.outside_vocabulary:
        lines.append(f"  {report.outside_vocabulary} records whose main answer is not in the vocabulary")
    return lines


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def main() -> None:
    """Prepare, then say what was written and what is missing."""
    # The functions import what they need themselves: Ctrl-C is then told in one line from the first moment on.
    with tells_mistakes(
        OSError, RuntimeError, ValueError, interrupted="interrupted; start again with the same arguments"
    ):
        arguments = parse_arguments()
        report = prepare(arguments)

        from datasets_vl.tasks.prepare import missing_file

        print("\n".join([*describe(report), f"see {missing_file(arguments.folder, arguments.split)}"]))


if __name__ == "__main__":
    main()
