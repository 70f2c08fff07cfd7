"""What the classes of all tasks share: the model they read with, and how a task is run on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import can_return_tuple

from configuration_vl.configuration_vilbert import ViLBertConfig
from configuration_vl.configuration_visualbert import VisualBertConfig

from .dropout import Dropout, drop_states
from .embeddings import remove_task_place
from .model_inputs import ModelInputs, Reading
from .modeling_vilbert import ViLBertModel, ViLBertPreTrainedModel
from .modeling_visualbert import VisualBertModel, VisualBertPreTrainedModel
from .outputs import TaskOutput
from .read_places import ReadPlaces, with_task_place

Read = Callable[[ModelInputs, ReadPlaces], Reading]


class ViLBertTaskModel(ViLBertPreTrainedModel):
    """A ViLBERT that a task head reads.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: ViLBertConfig) -> None:
        super().__init__(config)
        self.vilbert = ViLBertModel(config)

    @property
    def region_size(self) -> int:
        """Width of the region states."""
        return self.config.visual_hidden_size

    def read(self, inputs: ModelInputs, read_places: ReadPlaces) -> Reading:
        """Run the model.

        Args:
            inputs: Texts and images.
            read_places: What is read of the last states; places of the text are those without a task token.

        Returns:
            What it made of them.
        """
        if self.config.dynamic_attention:
            inputs = inputs.paired()  # a text gates its image from the first layer on: pairs share nothing
        if inputs.task_ids is not None:
            read_places = with_task_place(read_places)
        states = self.vilbert(**inputs.arguments(), read_places=read_places, return_dict=True)
        tokens = states.last_hidden_state
        if inputs.task_ids is not None and tokens is not None:
            tokens = remove_task_place(tokens)
        return Reading.of(inputs, states, tokens, states.visual_last_hidden_state, self.config.fusion_method)


class VisualBertTaskModel(VisualBertPreTrainedModel):
    """A VisualBERT that a task head reads.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: VisualBertConfig) -> None:
        super().__init__(config)
        self.visual_bert = VisualBertModel(config)

    @property
    def region_size(self) -> int:
        """Width of the region states."""
        return self.config.hidden_size

    def read(self, inputs: ModelInputs, read_places: ReadPlaces) -> Reading:
        """Run the model.

        Args:
            inputs: Texts and, but for heads that need one, images.
            read_places: What is read of the last states.

        Returns:
            What it made of them.

        Raises:
            ValueError: When task tokens are asked for, which VisualBERT has not.
        """
        arguments = inputs.arguments()
        if arguments.pop("task_ids") is not None:
            raise ValueError("task_ids are given, but VisualBERT has no task tokens: leave them out")
        states = self.visual_bert(**arguments, read_places=read_places, return_dict=True)
        tokens, regions = states.last_hidden_state.tensor_split([inputs.input_ids.shape[1]], dim=1)
        regions = None if inputs.visual_embeds is None else regions
        return Reading.of(inputs, states, tokens, regions, self.config.fusion_method)


class TwoLayerClassifier(nn.Module):
    """Dense, activation, layer norm, dropout, decoder.

    `SimpleClassifier` of vilbert-multi-task and VOLTA and MMF's transform with its classifier have the layer norm,
    that of vilbert_beta has the dropout.

    Args:
        config: The model's configuration.
        input_size: Width of what is classified.
        hidden_size: Width between the two layers.
        num_outputs: Number of classes.
    """

    def __init__(self, config: PreTrainedConfig, input_size: int, hidden_size: int, num_outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(input_size, hidden_size)
        self.activation = ACT2FN[config.classifier_act]
        normalises = config.classifier_layer_norm
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=config.layer_norm_eps) if normalises else nn.Identity()
        self.dropout = Dropout(config.classifier_dropout_prob)
        self.decoder = nn.Linear(hidden_size, num_outputs)

    def forward(self, states: Tensor) -> Tensor:
        """`[..., input_size]` to `[..., num_outputs]`."""
        return self.decoder(self.dropout(self.LayerNorm(self.activation(self.dense(states)))))


def build_classifier(config: PreTrainedConfig, input_size: int, hidden_size: int, num_outputs: int) -> nn.Module:
    """A classifier of two layers, or of one.

    Args:
        config: The model's configuration.
        input_size: Width of what is classified.
        hidden_size: Width between the two layers; 0 for a single linear layer.
        num_outputs: Number of classes.

    Returns:
        The classifier.
    """
    if hidden_size == 0:
        return nn.Linear(input_size, num_outputs)
    return TwoLayerClassifier(config, input_size, hidden_size, num_outputs)


class Task(ABC):
    """One kind of task: its head, what the head reads, its loss, and its result in plain Python.

    Args:
        config: The configuration of the model, or of one task of a multi-task model.
    """

    extra_inputs: ClassVar[tuple[str, ...]] = ()
    """What `run` takes besides texts, images and labels."""
    options: ClassVar[tuple[str, ...]] = ()
    """What `decode` takes besides logits and inputs."""

    def __init__(self, config: PreTrainedConfig) -> None:
        self.config = config

    @abstractmethod
    def build_head(self, region_size: int) -> nn.Module:
        """A fresh head.

        Args:
            region_size: Width of the model's region states.

        Returns:
            The head.
        """

    @abstractmethod
    def run(self, read: Read, head: nn.Module, inputs: ModelInputs, labels: Tensor | None) -> TaskOutput:
        """Read texts and images, score, and compute the loss when labels are given.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: Texts and images.
            labels: What is right, or None.

        Returns:
            Loss and logits.
        """

    @abstractmethod
    def decode(self, logits: Tensor, inputs: Mapping[str, Any]) -> list[Any]:
        """Predictions in plain Python.

        Args:
            logits: What `run` returned, on the CPU.
            inputs: Arguments of the model's `forward`.

        Returns:
            One prediction an example.
        """

    def drop(self, states: Tensor, head: nn.Module) -> Tensor:
        """Dropout on what `head` reads, while it is trained; `states` `[...]` keep their shape."""
        return drop_states(states, self.config.head_dropout_prob, head.training)


class TaskMixin:
    """A model with the head of one task, put in front of `ViLBertTaskModel` or `VisualBertTaskModel`.

    Args:
        config: The model's configuration.
    """

    task_class: ClassVar[type[Task]]
    head_name: ClassVar[str] = "cls"

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config)
        self.task = self.task_class(config)
        setattr(self, self.head_name, self.task.build_head(self.region_size))
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
        task_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> TaskOutput:
        """Read texts and images, and compute the loss when labels are given.

        Shapes are those of `ViLBertModel` and `VisualBertModel` unless the class says otherwise.

        Args:
            input_ids: Word pieces `[B, T]`.
            visual_embeds: Region features `[B, R, visual_embedding_dim]`.
            visual_locations: Normalised boxes `[B, R, L]`; VisualBERT reads them only with `visual_location_size`.
            attention_mask: `[B, T]`, 1 for real word pieces.
            token_type_ids: `[B, T]`.
            position_ids: `[B, T]`.
            visual_attention_mask: `[B, R]`, 1 for real regions.
            visual_token_type_ids: `[B, R]`; ViLBERT reads them only with `num_visual_token_types`.
            image_text_alignment: Word pieces that regions are linked to `[B, R, A]`, -1 where there are fewer; ViLBERT
                does not look at them.
            task_ids: `[B]`, for a ViLBERT with `num_task_tokens`.
            labels: What is right; the class says in which form.
            output_attentions: Whether to return attention weights.
            output_hidden_states: Whether to return the states of every layer.

        Returns:
            Loss and logits.

        Raises:
            ValueError: When inputs or labels do not fit the model or each other; the message says what was expected,
                what came and what to do.
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
            task_ids=task_ids,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        return self.task.run(self.read, getattr(self, self.head_name), inputs, labels)


@torch.no_grad()
def evaluate(model: nn.Module, inputs: Mapping[str, Any]) -> Tensor:
    """Logits in evaluation mode; the model is left in the mode it was in.

    Args:
        model: A task model.
        inputs: Arguments of its `forward`; tensors are moved to its device.

    Returns:
        The logits, in float32 on the CPU.
    """
    was_training = model.training
    model.eval()
    try:
        moved = {name: x.to(model.device) if isinstance(x, Tensor) else x for name, x in inputs.items()}
        return model(**moved, return_dict=True).logits.float().cpu()
    finally:
        model.train(was_training)
