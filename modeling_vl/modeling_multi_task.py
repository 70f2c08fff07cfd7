"""Several tasks with one trunk: 12-in-1 (Lu et al., 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import can_return_tuple

from .image_text_retrieval import ImageTextRetrieval
from .model_inputs import ModelInputs
from .multiple_choice import MultipleChoice
from .outputs import TaskOutput
from .phrase_grounding import PhraseGrounding
from .question_answering import QuestionAnswering
from .region_grounding import RegionGrounding
from .sequence_classification import SequenceClassification
from .task_models import Task, ViLBertTaskModel, VisualBertTaskModel, evaluate

TASK_CLASSES: dict[str, type[Task]] = {
    "question_answering": QuestionAnswering,
    "multiple_choice": MultipleChoice,
    "classification": SequenceClassification,
    "retrieval": ImageTextRetrieval,
    "referring_expressions": RegionGrounding,
    "phrase_grounding": PhraseGrounding,
}
"""What does a kind of task, by the names of `configuration_vl.configuration_task_heads.TASK_KINDS`."""


class MultiTaskMixin:
    """A model with a head for every task of `multi_task_heads`, put in front of a task model.

    Heads are `cls.<task>`; tasks that share a head share the parameters.

    Args:
        config: The model's configuration.

    Raises:
        ValueError: When the configuration names no task.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        if not config.multi_task_heads:
            raise ValueError(
                f"{type(self).__name__} needs config.multi_task_heads, for example "
                '{"vqa": {"kind": "question_answering", "num_labels": 3129}}'
            )
        specifications = config.multi_task_heads
        self.tasks = {name: TASK_CLASSES[task["kind"]](config.for_task(name)) for name, task in specifications.items()}
        self.cls = nn.ModuleDict(
            {
                name: self.tasks[name].build_head(self.region_size)
                for name, task in specifications.items()
                if task.get("head", name) == name
            }
        )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor,
        visual_embeds: Tensor | None = None,
        visual_locations: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        visual_token_type_ids: Tensor | None = None,
        image_text_alignment: Tensor | None = None,
        task: str | None = None,
        labels: Tensor | None = None,
        phrase_positions: Tensor | None = None,
        pair_index: Tensor | None = None,
        owners: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> TaskOutput:
        """Do one task on a batch of its examples.

        Shapes of inputs, labels and logits are those of the class for that kind of task alone.

        Args:
            input_ids, attention_mask, token_type_ids, position_ids: Texts.
            visual_embeds, visual_locations, visual_attention_mask, visual_token_type_ids: Images.
            image_text_alignment: Word pieces that regions are linked to, for VisualBERT.
            task: A key of the config's `multi_task_heads`; with `num_task_tokens` it also picks the task token.
            labels: What is right.
            phrase_positions: For phrase grounding alone.
            pair_index, owners, return_loss: For retrieval alone.
            output_attentions, output_hidden_states: Whether to return weights, and the states of every layer.

        Returns:
            Loss and logits of the task.

        Raises:
            ValueError: For a task the model has not, for inputs its kind does not take, and as in the classes for one
                task.
        """
        inputs = ModelInputs(
            input_ids=input_ids,
            visual_embeds=visual_embeds,
            visual_locations=visual_locations,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            visual_attention_mask=visual_attention_mask,
            visual_token_type_ids=visual_token_type_ids,
            image_text_alignment=image_text_alignment,
            task_ids=self._task_ids(task, input_ids),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        extra = {
            "phrase_positions": phrase_positions,
            "pair_index": pair_index,
            "owners": owners,
            "return_loss": return_loss,
        }
        extra = {name: value for name, value in extra.items() if value is not None}
        self._refuse_others(task, extra, self.tasks[task].extra_inputs)
        head = self.config.multi_task_heads[task].get("head", task)
        return self.tasks[task].run(self.read, self.cls[head], inputs, labels, **extra)

    def resize_token_embeddings(self, new_num_tokens: int | None = None, *args: Any, **kwargs: Any) -> nn.Embedding:
        """Resize the word embeddings and tell every task; arguments as in `PreTrainedModel`."""
        embeddings = super().resize_token_embeddings(new_num_tokens, *args, **kwargs)
        for task in self.tasks.values():
            task.config.vocab_size = self.config.vocab_size
        return embeddings

    def predict(self, *, task: str, top_k: int | None = None, boxes: Any = None, **inputs: Any) -> list[Any]:
        """Do one task, in plain Python.

        Args:
            task: A key of the config's `multi_task_heads`.
            top_k: As in the class for that kind of task alone, for those that have it.
            boxes: The same.
            **inputs: Arguments of `forward`.

        Returns:
            What `predict` of the class for that kind of task alone returns.

        Raises:
            ValueError: For a task the model has not, and for options its kind does not take.
        """
        self._check_task(task)
        options = {name: value for name, value in {"top_k": top_k, "boxes": boxes}.items() if value is not None}
        self._refuse_others(task, options, self.tasks[task].options)
        return self.tasks[task].decode(evaluate(self, {**inputs, "task": task}), inputs, **options)

    def _check_task(self, task: str | None) -> None:
        if task not in self.tasks:
            raise ValueError(f"task must be one of {list(self.tasks)} (multi_task_heads), got {task!r}")

    def _task_ids(self, task: str | None, input_ids: Tensor) -> Tensor | None:
        self._check_task(task)
        if not getattr(self.config, "num_task_tokens", 0):
            return None
        return torch.full(input_ids.shape[:1], self.config.task_id(task), device=input_ids.device)

    def _refuse_others(self, task: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
        unknown = sorted(set(given) - set(known))
        if unknown:
            kind = self.config.multi_task_heads[task]["kind"]
            raise ValueError(f"{unknown} are given, but task {task!r} of kind {kind!r} takes {list(known)} besides")


class ViLBertForMultiTask(MultiTaskMixin, ViLBertTaskModel):
    """ViLBERT for several tasks (12-in-1): a shared trunk, and a head and (`num_task_tokens`) a task token each."""


class VisualBertForMultiTask(MultiTaskMixin, VisualBertTaskModel):
    """VisualBERT for several tasks: a shared trunk and a head each; VisualBERT has no task tokens."""
