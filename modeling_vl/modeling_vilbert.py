"""ViLBERT: a text stream and an image stream that meet in co-attention layers (Lu et al., 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import can_return_tuple

from configuration_vl.configuration_vilbert import ViLBertConfig

from .bert_initialization import TextInitialization, initialize_text_from_bert
from .coattention_encoder import ViLBertEncoder
from .embeddings import RegionEmbeddings, TextEmbeddings, insert_task_place
from .heads import MaskedTokenHead, PreTrainingHeads, RegionInputs, VocabularyHeadMixin
from .input_checks import (
    check_ids,
    check_locations,
    check_pairs,
    check_regions,
    check_text,
    check_text_labels,
)
from .layers import Pooler
from .losses import IGNORE_INDEX, LossDenominators
from .outputs import PreTrainingOutput, ViLBertModelOutput
from .packing import take_rows
from .read_places import ReadPlaces, places_to_compute, with_task_place
from .streams import Pass, Stream


class ViLBertPreTrainedModel(PreTrainedModel):
    """What all ViLBERT classes share: configuration, initialisation and what transformers may switch on."""

    config_class = ViLBertConfig
    base_model_prefix = "vilbert"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _no_split_modules = [
        "TextEmbeddings",
        "RegionEmbeddings",
        "TransformerLayer",
        "CoAttentionLayer",
        "MaskedTokenHead",
        "PhraseScores",
    ]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MaskedTokenHead):
            init.zeros_(module.bias)

    @classmethod
    def from_bert(cls, name_or_path: str, config: ViLBertConfig) -> tuple[ViLBertPreTrainedModel, TextInitialization]:
        """A fresh ViLBERT whose text stream, and whose head for masked words if it has one, are a trained BERT's.

        Args:
            name_or_path: A BERT folder or Hub id.
            config: Configuration of the model to build; its text fields must be the BERT's.

        Returns:
            The model, and a report of what was copied, what was left in the BERT and what is freshly drawn.

        Raises:
            ValueError: When a size, the number of heads, the activation or the layer norms differ; both are named.
        """
        model = cls(config)
        return model, initialize_text_from_bert(
            model, name_or_path, {"embeddings.": "text_embeddings.", "encoder.layer.": "encoder.text_layers."}
        )


class ViLBertModel(ViLBertPreTrainedModel):
    """ViLBERT's two streams without a head.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: ViLBertConfig) -> None:
        super().__init__(config)
        self.text_embeddings = TextEmbeddings(config)
        self.visual_embeddings = RegionEmbeddings(config)
        self.encoder = ViLBertEncoder(config)
        self.text_pooler = Pooler(config.hidden_size, config.pooler_size, config.pooler_act, config.text_pooling)
        if config.fusion_method != "text":
            self.visual_pooler = Pooler(config.visual_hidden_size, config.pooler_size, config.pooler_act)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        return self.text_embeddings.word_embeddings

    def set_input_embeddings(self, embeddings: nn.Embedding) -> None:
        """Replace the word embeddings."""
        self.text_embeddings.word_embeddings = embeddings

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
        task_ids: Tensor | None = None,
        pair_index: Tensor | None = None,
        visual_token_type_ids: Tensor | None = None,
        image_text_alignment: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        read_places: ReadPlaces | None = None,
        word_table: Tensor | None = None,
    ) -> ViLBertModelOutput:
        """Read texts and images.

        Args:
            input_ids: Word pieces `[B, T]`.
            visual_embeds: Region features `[B, R, visual_embedding_dim]`.
            visual_locations: Normalised boxes `[B, R, visual_location_size]`.
            attention_mask: `[B, T]`, 1 for real word pieces; None when nothing is padded.
            token_type_ids: `[B, T]`, None for zeros.
            position_ids: `[B, T]`, None for 0, 1, 2, ...
            visual_attention_mask: `[B, R]`, 1 for real regions; None when nothing is padded.
            task_ids: `[B]`, or `[B, 1]` as in vilbert-multi-task: rows of the task token table, for models with
                `num_task_tokens`.
            pair_index: `[P, 2]` of (text row, image row): the pairs that meet from the first co-attention on. What
                comes before is computed once a text and once an image. Outputs have P rows, but states and weights
                recorded before that co-attention have a row a text or a row an image. Texts and images may differ in
                number. The originals' `fast_mode` (one text, many images) and `in_batch_pairs` are such
                lists.
            visual_token_type_ids: `[B, R]`, None for zeros; for models with `num_visual_token_types`.
            image_text_alignment: Accepted so that one batch serves both models; ViLBERT links no words to regions.
            output_attentions: Whether to return attention weights; they are computed with the eager backend.
            output_hidden_states: Whether to return the states of every layer.
            read_places: What the caller reads of the last states; None for everything. Under packed execution, and
                when no states or weights are asked for, the other places are not computed and come back zero, and
                streams and pooled vectors that are not read are None.
            word_table: The word table of `shared_table.share_table`, None for the module's own.

        Returns:
            The states of both streams.

        Raises:
            ValueError: When inputs are missing, or do not fit the model or each other.
        """
        check_text(self.config, input_ids, attention_mask, token_type_ids, position_ids)
        self._check_image(input_ids, visual_embeds, visual_locations, visual_attention_mask, pair_index)
        self._check_visual_types(visual_embeds, visual_token_type_ids)
        self._check_tasks(input_ids, task_ids)
        if task_ids is not None and attention_mask is not None:
            attention_mask = insert_task_place(attention_mask, attention_mask[:, :1])
        forward_pass = Pass.of(self.config, output_hidden_states, output_attentions)
        batch_size, length, device = *input_ids.shape, input_ids.device
        length += task_ids is not None
        layout = forward_pass.layout(attention_mask, batch_size, length, device)
        embedded = self.text_embeddings(input_ids, token_type_ids, position_ids, task_ids, layout, word_table)
        text = Stream(forward_pass, embedded, layout)
        layout = forward_pass.layout(visual_attention_mask, *visual_embeds.shape[:2], device)
        embedded = self.visual_embeddings(visual_embeds, visual_locations, visual_token_type_ids, layout)
        regions = Stream(forward_pass, embedded, layout)
        pools_image = self.config.fusion_method != "text"
        read = forward_pass.to_compute(read_places)
        rows = batch_size if pair_index is None else pair_index.shape[0]
        # Of a stream that may be read, the first place keeps the gradient path where a batch has nothing to read.
        read_text = places_to_compute(read.text, read.pooled or read.text is not False, rows, length, device)
        first = (read.pooled and pools_image) or read.regions is not False
        read_regions = places_to_compute(read.regions, first, rows, visual_embeds.shape[1], device)
        text_over_regions, regions_over_text = self.encoder(text, regions, pair_index, read_text, read_regions)

        text_states = None if read_text is False else text.padded()
        region_states = None if read_regions is False else regions.padded()
        states, weights = forward_pass.record_states, forward_pass.record_weights
        return ViLBertModelOutput(
            last_hidden_state=text_states,
            visual_last_hidden_state=region_states,
            pooler_output=self.text_pooler(text_states, text.layout.mask) if read.pooled else None,
            visual_pooler_output=self.visual_pooler(region_states) if read.pooled and pools_image else None,
            hidden_states=tuple(text.hidden_states) if states else None,
            visual_hidden_states=tuple(regions.hidden_states) if states else None,
            attentions=tuple(text.attentions) if weights else None,
            visual_attentions=tuple(regions.attentions) if weights else None,
            text_attends_visual=tuple(text_over_regions) if weights else None,
            visual_attends_text=tuple(regions_over_text) if weights else None,
        )

    def _check_image(
        self,
        input_ids: Tensor,
        visual_embeds: Tensor | None,
        visual_locations: Tensor | None,
        visual_attention_mask: Tensor | None,
        pair_index: Tensor | None,
    ) -> None:
        if visual_embeds is None or visual_locations is None:
            raise ValueError(
                "ViLBERT needs visual_embeds and visual_locations: its streams meet in co-attention, so text alone "
                "has no defined result (VisualBERT accepts it)"
            )
        num_texts = input_ids.shape[0]
        check_regions(self.config, visual_embeds, visual_attention_mask, num_texts if pair_index is None else None)
        check_locations(visual_locations, [*visual_embeds.shape[:2], self.config.visual_location_size])
        if pair_index is not None:
            check_pairs(pair_index, num_texts, visual_embeds.shape[0])

    def _check_visual_types(self, visual_embeds: Tensor, visual_token_type_ids: Tensor | None) -> None:
        num_types = self.config.num_visual_token_types
        if visual_token_type_ids is not None and not num_types:
            raise ValueError(
                "visual_token_type_ids are given, but the model has no table of visual types: leave them out, or give "
                "the config num_visual_token_types"
            )
        places = visual_embeds.shape[:2]
        check_ids("visual_token_type_ids", visual_token_type_ids, places, num_types, "num_visual_token_types")

    def _check_tasks(self, input_ids: Tensor, task_ids: Tensor | None) -> None:
        num_tasks = self.config.num_task_tokens
        if (task_ids is not None) != (num_tasks > 0):
            raise ValueError(
                f"task_ids are {'given' if task_ids is not None else 'missing'}, but the model has num_task_tokens="
                f"{num_tasks}"
            )
        if task_ids is not None:
            shape = (input_ids.shape[0], 1)[: max(task_ids.dim(), 1)]
            check_ids("task_ids", task_ids, shape, num_tasks, "num_task_tokens")


class ViLBertForPreTraining(VocabularyHeadMixin, ViLBertPreTrainedModel):
    """ViLBERT with its pre-training heads: masked words, masked regions, text-image alignment (section 3.1).

    Args:
        config: The model's configuration.
    """

    _tied_weights_keys = {"cls.predictions.decoder.weight": "vilbert.text_embeddings.word_embeddings.weight"}

    def __init__(self, config: ViLBertConfig) -> None:
        super().__init__(config)
        self.vilbert = ViLBertModel(config)
        self.cls = PreTrainingHeads(config, config.visual_hidden_size, config.visual_layer_norm_eps)
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
        task_ids: Tensor | None = None,
        pair_index: Tensor | None = None,
        visual_token_type_ids: Tensor | None = None,
        image_text_alignment: Tensor | None = None,
        labels: Tensor | None = None,
        sentence_image_labels: Tensor | None = None,
        region_labels: Tensor | None = None,
        loss_denominators: LossDenominators | None = None,
        return_logits: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **region_inputs: Unpack[RegionInputs],
    ) -> PreTrainingOutput:
        """Read texts and images and compute the losses whose labels are given.

        Args:
            input_ids: As in `ViLBertModel`, and so are the arguments up to `image_text_alignment`.
            visual_embeds: Region features `[B, R, visual_embedding_dim]`, masked regions zeroed.
            visual_locations: Normalised boxes `[B, R, visual_location_size]`.
            attention_mask: `[B, T]`.
            token_type_ids: `[B, T]`.
            position_ids: `[B, T]`.
            visual_attention_mask: `[B, R]`.
            task_ids: `[B]`.
            pair_index: `[P, 2]`; labels then have P rows.
            visual_token_type_ids: `[B, R]`.
            image_text_alignment: Not looked at.
            labels: Word pieces to predict `[B, T]`, -100 elsewhere; `[B, T + R]` with -100 over regions is accepted.
                With a task token the labels still have T columns.
            sentence_image_labels: `[B]`, 0 for a match, 1 for a mismatch, -100 to skip.
            region_labels: `[B, R]`, 1 for regions to predict.
            loss_denominators: Number of labelled items under "mlm", "region", "alignment" to divide by instead of
                those in this batch (`modeling_vl.losses.count_labels`).
            return_logits: Whether to return vocabulary and region logits; None means only when no labels are given.
            output_attentions: Whether to return attention weights.
            output_hidden_states: Whether to return the states of every layer.
            **region_inputs: What the config's `region_targets` read, see `RegionInputs`.

        Returns:
            Losses and logits.

        Raises:
            ValueError: As in `ViLBertModel`, and for labels that cannot be predicted: out of range, of another shape,
                on padding or on a global region that is not predicted.
        """
        read = self.cls.read_places(labels, sentence_image_labels, region_labels, return_logits)
        word_table, decoder_table = self.shared_word_table(labels)
        states = self.vilbert(
            input_ids,
            visual_embeds,
            visual_locations,
            attention_mask,
            token_type_ids,
            position_ids,
            visual_attention_mask,
            task_ids,
            pair_index,
            visual_token_type_ids,
            image_text_alignment,
            output_attentions,
            output_hidden_states,
            read if task_ids is None else with_task_place(read),
            word_table,
            return_dict=True,
        )
        text_rows, image_rows = (None, None) if pair_index is None else pair_index.unbind(1)
        token_mask, region_mask = take_rows(attention_mask, text_rows), take_rows(visual_attention_mask, image_rows)
        if labels is not None:
            rows = input_ids.shape[0] if pair_index is None else pair_index.shape[0]
            labels = check_text_labels(labels, rows, input_ids.shape[1], visual_embeds.shape[1])
        if task_ids is not None:
            if labels is not None:
                labels = insert_task_place(labels, torch.full_like(labels[:, :1], IGNORE_INDEX))
            if token_mask is not None:
                token_mask = insert_task_place(token_mask, token_mask[:, :1])
        return self.cls(
            states,
            token_states=states.last_hidden_state,
            region_states=states.visual_last_hidden_state,
            token_mask=token_mask,
            region_mask=region_mask,
            labels=labels,
            sentence_image_labels=sentence_image_labels,
            region_labels=region_labels,
            region_inputs=region_inputs,
            loss_denominators=loss_denominators,
            return_logits=return_logits,
            word_table=decoder_table,
        )
