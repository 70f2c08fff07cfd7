"""A study on the built-in scenes: data for every task, and the runs that pre-train, fine-tune and measure on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datasets_vl.captions import read_captions
from datasets_vl.tasks.table import read_task_table
from datasets_vl.tasks.task_texts import texts_of, write_pretraining_texts

from .prepared_scenes import PreparedScenes, prepare_scenes, scene_regions
from .side_by_side import Job, run_side_by_side
from .study_table import Rows, read_score
from .tasks import TASKS
from .word_tokenizer import save_tokenizer_of

MODELS = {"ViLBERT": "vilbert", "VisualBERT": "visualbert"}
RETRIEVAL = "retrieval"
TEST_IMAGES, TEST_CAPTIONS = 100, 2


@dataclass(frozen=True, kw_only=True)
class SceneTask:
    """A task of the study.

    Attributes:
        name: "retrieval" or one of `TASKS`.
        measure: What its score is called.
        steps: Optimizer steps of its fine-tuning.
        options: Further arguments of examples/run_finetuning.py, beside the recipe.
    """

    name: str
    measure: str = "accuracy"
    steps: int
    options: Mapping[str, Any] = field(default_factory=dict)


SCENE_TASKS: dict[str, SceneTask] = {
    task.name: task
    for task in (
        SceneTask(name="vqa", steps=400),
        SceneTask(name="gqa", steps=400),
        SceneTask(name="vcr_qa", steps=400),
        SceneTask(name="vcr_qar", steps=400),
        SceneTask(name="nlvr2", steps=400),
        SceneTask(name="snli_ve", steps=400),
        SceneTask(name="refcoco", steps=400),
        SceneTask(name="flickr30k_entities", measure="recall_at_1", steps=400),
        SceneTask(
            name=RETRIEVAL,
            measure="caption to image R@1",
            steps=150,
            options={"candidates": "in_batch", "batch_size": 16},
        ),
    )
}
"""Every task with a generated counterpart on the scenes."""


@dataclass(frozen=True)
class Start:
    """What a fine-tuning starts from.

    Attributes:
        name: To call it.
        trunk: Folder of a pre-trained model.
        fresh: Whether to start from fresh weights of the same sizes instead.
    """

    name: str
    trunk: Path
    fresh: bool = False


class SceneStudy:
    """The files of a study, and its runs.

    Args:
        folder: Where everything goes: `data`, and a folder a run.
        scripts: Folder of the example scripts and their recipes.
        num_scenes: How many scenes of "train", "val" and "test".
        tasks: Names of the tasks, keys of `SCENE_TASKS`.
        max_steps: Most optimizer steps a run, to try a study out.
    """

    def __init__(
        self,
        folder: Path,
        scripts: Path,
        num_scenes: Mapping[str, int],
        tasks: Sequence[str],
        *,
        max_steps: int | None = None,
    ) -> None:
        self.folder = folder
        self.scripts = scripts
        self.num_scenes = dict(num_scenes)
        self.tasks = [SCENE_TASKS[name] for name in tasks]
        self.max_steps = max_steps
        self.captions = folder / "data" / "scenes" / "dataset_scenes.json"
        self.tokenizer = folder / "data" / "tokenizer"
        self.regions = {split: folder / "data" / "scenes" / split for split in num_scenes}
        self._prepared: dict[str, PreparedScenes] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """What makes studies different."""
        steps = {task.name: self._limited(task.steps) for task in self.tasks}
        return {"scenes": self.num_scenes, "steps": steps}

    def prepare(self) -> None:
        """Write the scenes and their tasks in official formats, convert, prepare, and make a tokenizer of all words.

        Raises:
            ValueError: If the folder holds a study of other numbers or tasks.
        """
        stamp = self.folder / "settings.json"
        if stamp.is_file() and (known := json.loads(stamp.read_text(encoding="utf-8"))) != self.settings:
            raise ValueError(f"{self.folder} holds a study of {known}, wanted is {self.settings}: name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(json.dumps(self.settings) + "\n", encoding="utf-8")
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        scene_regions(data / "scenes", self.num_scenes)
        for benchmark in sorted({TASKS[task.name].benchmark for task in self.tasks if task.name != RETRIEVAL}):
            self._prepared[benchmark] = prepare_scenes(data, benchmark, self.num_scenes)
        texts = read_captions(self.captions).texts.to_pylist()
        for prepared in self._prepared.values():
            table = read_task_table(prepared.data, "train")
            texts += [text for index in range(len(table)) for text in texts_of(table.record(index))]
        save_tokenizer_of(texts, self.tokenizer)

    def regions_of(self, task: SceneTask) -> dict[str, Path]:
        """Region shards of each split of a `task`."""
        return self.regions if task.name == RETRIEVAL else self.data_of(task).regions

    def data_of(self, task: SceneTask) -> PreparedScenes:
        """The prepared annotations of a `task` other than retrieval."""
        return self._prepared[TASKS[task.name].benchmark]

    def pretraining(self, title: str) -> Job:
        """Pre-training on the captions, from fresh weights, with the recipe of the demo.

        Args:
            title: Of the model, a key of `MODELS`.

        Returns:
            The job; the model is in its `output_dir`.
        """
        name = MODELS[title]
        words = {
            "tokenizer": self.tokenizer,
            "regions": self.regions["train"],
            "val_regions": self.regions["val"],
            "captions": self.captions,
        }
        return self._pretraining(title, f"demo_{name}.yaml", self.folder / f"pretrained_{name}", words)

    def task_pretraining(self, task: SceneTask, title: str, start: Start) -> Job:
        """Pre-training on the texts of a task's training split: masked words alone.

        Args:
            task: The task, of one image an example.
            title: Of the run.
            start: What it starts from.

        Returns:
            The job; the model is in its `output_dir`.
        """
        prepared = self.data_of(task)
        texts = prepared.data / "texts_train.jsonl"
        write_pretraining_texts(read_task_table(prepared.data, "train"), texts)
        words = {**self._start(start), "regions": prepared.regions["train"], "captions": texts}
        output_dir = self.folder / f"{task.name}_texts_{start.name}".replace(" ", "_")
        return self._pretraining(title, "three_stages_texts.yaml", output_dir, words)

    def _pretraining(self, title: str, recipe_name: str, output_dir: Path, words: Mapping[str, Any]) -> Job:
        recipe = self.scripts / "recipes" / recipe_name
        steps = self._limited(yaml.safe_load(recipe.read_text(encoding="utf-8"))["max_steps"])
        command = self._training("run_pretraining.py", recipe, output_dir, {**words, "max_steps": steps})
        result = output_dir / "processor_config.json"
        return Job(title=title, commands=[command], output_dir=output_dir, steps=steps, result=result)

    def _start(self, start: Start) -> dict[str, Any]:
        if start.fresh:
            return {"config": start.trunk, "tokenizer": self.tokenizer}
        return {"from_pretrained": start.trunk}

    def compare(self, starts: Mapping[str, Sequence[Start]], *, at_once: int) -> Rows:
        """Fine-tune for every task of the study from every start, and measure on the test scenes.

        Args:
            starts: By title of the model.
            at_once: How many runs at the same time.

        Returns:
            The scores.
        """
        jobs = {
            (task.name, model, start.name): self._finetuning(task, model, start)
            for task in self.tasks
            for model, of_model in starts.items()
            for start in of_model
        }
        run_side_by_side(list(jobs.values()), "fine-tuning", at_once=at_once)
        return {
            task.name: {
                model: {
                    start.name: read_score(jobs[task.name, model, start.name].result, task.measure)
                    for start in of_model
                }
                for model, of_model in starts.items()
            }
            for task in self.tasks
        }

    def _finetuning(self, task: SceneTask, model: str, start: Start) -> Job:
        name = f"{task.name}_{model}_{start.name}".lower().replace(" ", "_")
        output_dir = self.folder / "runs" / name
        regions, steps = self.regions_of(task), self._limited(task.steps)
        words = {
            "task": task.name,
            **self._start(start),
            **task.options,
            "max_steps": steps,
            "regions": regions["train"],
        }
        if task.name == RETRIEVAL:
            words["captions"] = self.captions
        else:
            words |= {"data": self.data_of(task).data, "val_regions": regions["val"]}
        recipe = self.scripts / "recipes" / "scenes_finetuning.yaml"
        training = self._training("run_finetuning.py", recipe, output_dir, words)
        measuring, result = self._measuring(task, output_dir)
        title = f"{model} for {task.name}, {start.name},"
        return Job(title=title, commands=[training, measuring], output_dir=output_dir, steps=steps, result=result)

    def _limited(self, steps: int) -> int:
        return steps if self.max_steps is None else min(steps, self.max_steps)

    def _measuring(self, task: SceneTask, output_dir: Path) -> tuple[list[str], Path]:
        regions = self.regions_of(task)["test"]
        if task.name == RETRIEVAL:
            words = {
                "regions": regions,
                "captions": self.captions,
                "split": "test",
                "num_images": TEST_IMAGES,
                "captions_per_image": TEST_CAPTIONS,
                "output_dir": output_dir / "test",
            }
            return self._command("run_retrieval.py", output_dir, words), output_dir / "test" / "recalls.json"
        result = output_dir / "test.json"
        words = {
            "task": task.name,
            "data": self.data_of(task).data,
            "regions": regions,
            "split": "test",
            "scores": result,
        }
        return self._command("run_evaluation.py", output_dir, words), result

    def _training(self, script: str, recipe: Path, output_dir: Path, words: Mapping[str, Any]) -> list[str]:
        more = {"output_dir": output_dir, "resume_from_checkpoint": "latest"}
        return self._command(script, recipe, {**words, **more})

    def _command(self, script: str, first: Path, words: Mapping[str, Any]) -> list[str]:
        named = [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        return [str(self.scripts / script), str(first), *named]
