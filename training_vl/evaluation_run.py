"""The measurement of a fine-tuned model on a split of its task, from the arguments to scores and predictions."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from accelerate import Accelerator
from transformers import AutoConfig, AutoProcessor, PreTrainedModel

from datasets_vl.tasks.examples import TaskExamples
from datasets_vl.tasks.table import read_task_description
from metrics_vl import flat, markdown_table
from modeling_vl.auto_vl import AutoModelForMultiTask
from modeling_vl.export import ExportedTask
from processing_vl.task_collators import TaskCollator

from .data_setup import check_feature_dim
from .distributed import make_accelerator
from .multi_task_loop import OneTask
from .submissions import read_answer_probabilities, write_vcr
from .task_arguments import TaskDataArguments
from .task_controls import MODEL, exchanged_images, with_controls
from .task_evaluation import predict_split
from .task_scores import Predictions, Scores, is_labelled, score_both_choices
from .task_setup import TaskSplit, check_benchmark, check_labels, find_task, make_collator, open_split
from .tasks import TaskDefinition


class Evaluation:
    """A model and a split of its task.

    Args:
        arguments: The command line of examples/run_evaluation.py.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        for file in (arguments.output, arguments.scores):
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
        self.task: TaskDefinition = find_task(arguments.task, arguments.answer_separator)
        description = read_task_description(arguments.data)
        check_benchmark(self.task, description, arguments.data)
        use_cpu = arguments.use_cpu or arguments.exported is not None
        self.accelerator: Accelerator = make_accelerator(find_unused_parameters=False, use_cpu=use_cpu)
        config = AutoConfig.from_pretrained(arguments.model)
        auto_class = AutoModelForMultiTask if config.multi_task_heads else self.task.how.auto_class
        model = auto_class.from_pretrained(arguments.model).to(self.accelerator.device).eval()
        self.model: PreTrainedModel | OneTask | ExportedTask = model
        if config.multi_task_heads:
            self.model, config = OneTask.of(model, self.task)
        if arguments.exported is not None:
            self.model = ExportedTask(arguments.exported, model, self.model.task)
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
