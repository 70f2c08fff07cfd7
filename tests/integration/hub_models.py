"""What users do with models on the Hub, through transformers' own methods; to be run in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoModelForVisualQuestionAnswering,
    AutoProcessor,
    BertTokenizer,
    Trainer,
    TrainingArguments,
)

import modeling_vl  # noqa: F401 (registers the Auto classes)
from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.random_regions import random_regions
from tests.tiny_models import FEATURES
from tests.tiny_tasks import task_inputs, task_labels, task_model
from training_vl.word_tokenizer import SPECIAL_TOKENS

TASK = "VisualQuestionAnswering"
TEXT = "what is there?"
REGIONS = random_regions(4, feature_dim=FEATURES)
REPOSITORY = "someone/vqa"


def processor_of(model: Any) -> RegionTextProcessor:
    """A processor whose tokenizer knows one text."""
    words = [*SPECIAL_TOKENS, *TEXT.replace("?", " ?").split()]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    return RegionTextProcessor(RegionFeatureExtractor.from_model_config(model.config), tokenizer)


def encoded(processor: Any) -> dict[str, torch.Tensor]:
    """What a processor makes of one text and image."""
    return dict(processor(text=[TEXT], regions=[REGIONS]))


def answers(model: Any) -> torch.Tensor:
    """What a model says of fixed inputs."""
    with torch.no_grad():
        return model.eval()(**task_inputs(TASK)).logits


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors are the same, bit by bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def loaded_answers(name: str, **options: Any) -> torch.Tensor:
    """What a model of the Hub says of fixed inputs."""
    return answers(AutoModelForVisualQuestionAnswering.from_pretrained(name, **options))


class Examples(Dataset[dict[str, torch.Tensor]]):
    """The rows of the fixed batch."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Row `number` of the inputs and the labels."""
        return {name: tensor[number] for name, tensor in (task_inputs(TASK) | task_labels(TASK)).items()}


def push_and_load(folder: Path) -> dict[str, Any]:
    """Everything that ends well; True for what came back as it went."""
    seen: dict[str, Any] = {}
    model = task_model("ViLBert", TASK)
    processor = processor_of(model)
    model.push_to_hub(REPOSITORY, commit_message="model")
    processor.push_to_hub(REPOSITORY, commit_message="processor")
    HfApi().create_tag(REPOSITORY, tag="v1")
    before = answers(model)
    commit = HfApi().model_info(REPOSITORY).sha
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    model.push_to_hub(REPOSITORY, commit_message="larger weights")
    after = answers(model)
    seen["revisions differ"] = not torch.equal(before, after)
    seen["main"] = torch.equal(loaded_answers(REPOSITORY), after)
    seen["tag"] = torch.equal(loaded_answers(REPOSITORY, revision="v1"), before)
    seen["commit"] = torch.equal(loaded_answers(REPOSITORY, revision=commit), before)
    torch.save(
        {
            "inputs": task_inputs(TASK),
            "logits": {"main": after, "v1": before},
            "regions": asdict(REGIONS),
            "encoding": encoded(processor),
        },
        folder / "expected.pt",
    )
    seen["processor"] = equal(encoded(AutoProcessor.from_pretrained(REPOSITORY)), encoded(processor))

    model.config.push_to_hub("someone/config")
    seen["config"] = AutoConfig.from_pretrained("someone/config").to_dict() == {
        **model.config.to_dict(),
        "_name_or_path": "someone/config",
    }
    other = task_model("VisualBert", TASK)
    other.save_pretrained(folder / "saved", push_to_hub=True, repo_id="someone/saved", max_shard_size="20KB")
    processor_of(other).save_pretrained(folder / "saved", push_to_hub=True, repo_id="someone/saved")
    seen["saved and pushed"] = torch.equal(loaded_answers("someone/saved"), answers(other))
    seen["its processor"] = equal(
        encoded(AutoProcessor.from_pretrained("someone/saved")), encoded(processor_of(other))
    )

    trained = train(folder / "trained")
    seen["trained"] = torch.equal(loaded_answers("someone/trained"), answers(trained))
    seen["its processor after training"] = equal(
        encoded(AutoProcessor.from_pretrained("someone/trained")), encoded(processor_of(trained))
    )
    return seen


def train(folder: Path) -> Any:
    """Two steps of transformers' Trainer, which pushes the last checkpoint and the model."""
    model = task_model("ViLBert", TASK)
    arguments = TrainingArguments(
        str(folder),
        max_steps=2,
        save_steps=1,
        per_device_train_batch_size=2,
        push_to_hub=True,
        hub_model_id="someone/trained",
        hub_strategy="checkpoint",
        remove_unused_columns=False,
        use_cpu=True,
        report_to="none",
    )
    trainer = Trainer(model, arguments, train_dataset=Examples(), processing_class=processor_of(model))
    trainer.train()
    trainer.push_to_hub(commit_message="end of training")
    return trainer.model


def failures() -> dict[str, str]:
    """What users are told whose model or right does not exist, or whose push fails; a third push succeeds."""
    load = AutoModelForVisualQuestionAnswering.from_pretrained
    config = task_model("ViLBert", TASK).config
    told = {
        "no repository": message_of(lambda: load("someone/nothing")),
        "no revision": message_of(lambda: load(REPOSITORY, revision="v9")),
        "another's name": message_of(lambda: config.push_to_hub("other/vqa")),
        "wrong token": message_of(lambda: config.push_to_hub(REPOSITORY, token="hf_wrong")),
        "failing Hub": message_of(lambda: config.push_to_hub("someone/unlucky")),
        "cut connection": message_of(lambda: config.push_to_hub("someone/unlucky")),
    }
    config.push_to_hub("someone/unlucky", commit_message="third")
    return told


def message_of(action: Callable[[], object]) -> str:
    """What an action says that fails."""
    try:
        action()
    except (HTTPError, OSError) as error:
        return str(error)
    raise AssertionError("nothing failed")


def main(folder: str) -> None:
    """Prints what was seen, as JSON."""
    torch.set_num_threads(1)
    print(json.dumps({"seen": push_and_load(Path(folder)), "failures": failures()}))
