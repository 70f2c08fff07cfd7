"""Measure a fine-tuned ViLBERT or VisualBERT on a split of its task, and write its predictions.

    python examples/run_evaluation.py runs/vilbert-vqa --task vqa --data prepared/vqa --regions features/coco \
        --split val --output predictions.json

Beside the model's scores stand those of a control whose images are exchanged, and those of guessing (the most frequent
answer of the split, or any box). A score that does not fall in the control comes from the text alone, or where boxes
are chosen from these and the text. Predictions go to `--output`, in the format of the benchmark's server or script; a
split that does not say what is right, such as a test split, only gets these.

VCR's leaderboard wants the rationales for each of the answers, and the answers' own probabilities beside them. Two
runs write that file, the second with the predictions of the first; on a labelled split it also prints Q->AR:

    python examples/run_evaluation.py runs/vcr-qa --task vcr_qa ... --split test --output answers.csv
    python examples/run_evaluation.py runs/vcr-qar --task vcr_qar ... --split test --vcr_answers answers.csv \
        --output vcr.csv

Several processes share the work: `accelerate launch ... examples/run_evaluation.py ...`, as in training.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator
from transformers import AutoConfig, AutoProcessor, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.table import read_task_description
from metrics_vl import flat, markdown_table
from modeling_vl.auto_vl import AutoModelForMultiTask
from processing_vl.task_collators import TaskCollator
from training_vl.data_setup import check_feature_dim
from training_vl.distributed import make_accelerator
from training_vl.multi_task_loop import OneTask
from training_vl.submissions import read_answer_probabilities, write_vcr
from training_vl.task_arguments import TaskDataArguments
from training_vl.task_controls import MODEL, exchanged_images, with_controls
from training_vl.task_evaluation import predict_split
from training_vl.task_scores import Predictions, Scores, is_labelled, score_both_choices
from training_vl.task_setup import TaskSplit, check_benchmark, check_labels, find_task, make_collator, open_split
from training_vl.tasks import TASKS, TaskDefinition


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub id of a model and its processor")
    parser.add_argument("--task", required=True, choices=TASKS)
    parser.add_argument("--data", required=True, help="folder written by examples/prepare_task.py")
    parser.add_argument("--regions", required=True, help="folder of Parquet shards of region features")
    parser.add_argument("--split", default="val", help="split to measure on (default: val)")
    parser.add_argument("--output", type=Path, help="file for the predictions, in the benchmark's format")
    parser.add_argument("--scores", type=Path, help="JSON file for the scores")
    parser.add_argument("--vcr_answers", type=Path, help="predictions of vcr_qa on the same split, for vcr_qar")
    parser.add_argument("--max_text_length", type=int, help="as in training (default: that of the task)")
    parser.add_argument("--answer_separator", default="", help="as in training, for vcr_qar (default: none)")
    parser.add_argument("--task_token", type=int, help="row of the task token table, for a ViLBERT that has one")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--cache_dir", help="where the memory-mapped copy of the features goes (default: beside them)")
    parser.add_argument("--seed", type=int, default=0, help="of the exchange of images in the control")
    parser.add_argument("--use_cpu", action="store_true", help="stay on the CPU though there is an accelerator")
    return parser.parse_args()


class Evaluation:
    """A model and a split of its task.

    Args:
        arguments: The command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        for file in (arguments.output, arguments.scores):
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
        self.task: TaskDefinition = find_task(arguments.task, arguments.answer_separator)
        description = read_task_description(arguments.data)
        check_benchmark(self.task, description, arguments.data)
        self.accelerator: Accelerator = make_accelerator(find_unused_parameters=False, use_cpu=arguments.use_cpu)
        config = AutoConfig.from_pretrained(arguments.model)
        auto_class = AutoModelForMultiTask if config.multi_task_heads else self.task.how.auto_class
        model = auto_class.from_pretrained(arguments.model).to(self.accelerator.device).eval()
        self.model: PreTrainedModel | OneTask = model
        if config.multi_task_heads:
            self.model, config = OneTask.of(model, self.task)
        check_labels(config, self.task, description["labels"], arguments.model)
        self.data = TaskDataArguments(
            task=arguments.task,
            data=arguments.data,
            max_text_length=arguments.max_text_length,
            task_token=arguments.task_token,
            cache_dir=arguments.cache_dir,
        )
        self.split: TaskSplit = open_split(self.data, self.task, arguments.split, arguments.regions)
        check_feature_dim(self.split.regions.metadata, config, arguments.regions)
        processor = AutoProcessor.from_pretrained(arguments.model)
        self.collator: TaskCollator = make_collator(self.task, processor, config, self.data)

    def predict(self, split: TaskSplit) -> Predictions:
        """Predictions for a `split`, the same in all processes."""
        batches = split.batches(
            self.collator,
            batch_size=self.arguments.batch_size,
            rank=self.accelerator.process_index,
            world_size=self.accelerator.num_processes,
            num_workers=self.arguments.num_workers,
        )
        return predict_split(self.model, self.task, batches, self.accelerator)[0]

    def predict_rationales(self) -> list[Predictions]:
        """For each answer in turn, the predictions of VCR's rationales given that answer."""
        table = self.split.table
        splits = [
            replace(self.split, examples=TaskExamples(table, **{**self.task.example_options, "given_answer": number}))
            for number in range(len(table.record(0)["answers"]))
        ]
        return [self.predict(split) for split in splits]

    def run(self) -> None:
        """Predict, write, and print the scores where the split says what is right."""
        arguments, table = self.arguments, self.split.table
        labelled = is_labelled(table)
        if arguments.vcr_answers is not None:
            scores = self._run_vcr(labelled)
        else:
            if self.task.name == "vcr_qar" and not labelled:
                raise ValueError(
                    f"{self.split.name} does not say which answers are right, so rationales are wanted for all of "
                    "them: give vcr_answers, the predictions of vcr_qa on this split"
                )
            predictions = self.predict(self.split)
            if arguments.output and self.accelerator.is_main_process:
                self.task.write(arguments.output, table, predictions)
            scores = None
            if labelled:
                exchanged = exchanged_images(self.task, self.split, arguments.seed)
                scores = with_controls(self.task, self.split, predictions, self.predict(exchanged))
        if self.accelerator.is_main_process:
            self._tell(scores)

    def _run_vcr(self, labelled: bool) -> dict[str, Scores] | None:
        if self.task.name != "vcr_qar":
            raise ValueError(f"vcr_answers belongs to the task vcr_qar, the task is {self.task.name}")
        answers = read_answer_probabilities(self.arguments.vcr_answers)
        rationales = self.predict_rationales()
        if self.arguments.output and self.accelerator.is_main_process:
            write_vcr(self.arguments.output, self.split.table, answers, rationales)
        return {MODEL: score_both_choices(self.split.table, answers, rationales)} if labelled else None

    def _tell(self, scores: dict[str, Scores] | None) -> None:
        if scores is None:
            print(f"{self.split.name} does not say what is right: there is nothing to score")
            return
        print(markdown_table(scores))
        for name, of_types in scores[MODEL].items():
            if isinstance(of_types, dict) and of_types:
                print(f"\n{name}\n\n{markdown_table(of_types)}")
        if self.arguments.scores:
            plain = {column: flat(values) for column, values in scores.items()}
            self.arguments.scores.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure; errors that the arguments caused are told in one line."""
    disable_progress_bar()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments()
    try:
        Evaluation(arguments).run()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
