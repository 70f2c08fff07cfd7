"""VisualBERT: one transformer over words and regions (Li et al., 2019), with transformers' parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import can_return_tuple

from configuration_vl.configuration_visualbert import VisualBertConfig

from .bert_initialization import TextInitialization, initialize_text_from_bert
from .heads import MaskedTokenHead, PreTrainingHeads, RegionInputs, VocabularyHeadMixin
from .input_checks import (
    check_ids,
    check_locations,
    check_pairs,
    check_regions,
    check_text,
    check_token_labels,
)
from .layers import Pooler, StreamSizes, TransformerLayer
from .losses import IGNORE_INDEX, LossDenominators
from .outputs import PreTrainingOutput, VisualBertModelOutput
from .packing import take_rows
from .read_places import ReadPlaces, join_places, places_to_compute
from .streams import Pass, Stream
from .visualbert_embeddings import VisualBertEmbeddings


class VisualBertPreTrainedModel(PreTrainedModel):
    """What all VisualBERT classes share: configuration, initialisation and what transformers may switch on."""

    config_class = VisualBertConfig
    base_model_prefix = "visual_bert"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _no_split_modules = ["VisualBertEmbeddings", "TransformerLayer", "MaskedTokenHead", "PhraseScores"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _keys_to_ignore_on_load_unexpected = [r"cls\.predictions\.decoder\.bias"]

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        # As custom code, a module without parameters of its own (the embeddings) would count as initialised and be
        # skipped. `_init_weights` below leaves loaded tensors alone by itself.
        super()._initialize_weights(module, is_custom_code=False)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MaskedTokenHead):
            init.zeros_(module.bias)
        if isinstance(module, VisualBertEmbeddings) and self.config.special_visual_initialize:
            init.copy_(module.visual_token_type_embeddings.weight, module.token_type_embeddings.weight)
            init.copy_(module.visual_position_embeddings.weight, module.position_embeddings.weight)

    @classmethod
    def from_bert(
        cls, name_or_path: str, config: VisualBertConfig, visual_tables: bool | None = None
    ) -> tuple[VisualBertPreTrainedModel, TextInitialization]:
        """A fresh VisualBERT whose layers, and whose head for masked words if it has one, are a trained BERT's.

        Args:
            name_or_path: A BERT folder or Hub id.
            config: Configuration of the model to build; its text fields must be the BERT's.
            visual_tables: Whether the visual type and position tables start as copies of the BERT's text tables. None
                means the config's `special_visual_initialize`.

        Returns:
            The model, and a report of what was copied, what was left in the BERT and what is freshly drawn.

        Raises:
            ValueError: When a size, the number of heads, the activation or the layer norms differ; both are named.
        """
        model = cls(config)
        copies = {}
        if config.special_visual_initialize if visual_tables is None else visual_tables:
            for table in ("token_type_embeddings", "position_embeddings"):
                copies[f"embeddings.visual_{table}.weight"] = f"embeddings.{table}.weight"
        prefixes = {"embeddings.": "embeddings.", "encoder.": "encoder."}
        if (config.pooler_size, config.pooler_act) == (config.hidden_size, "tanh"):
            prefixes["pooler."] = "pooler."
        return model, initialize_text_from_bert(model, name_or_path, prefixes, copies)


class VisualBertEncoder(nn.Module):
    """A stack of transformer layers.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: VisualBertConfig) -> None:
        super().__init__()
        sizes = StreamSizes.of_text(config)
        self.layer = nn.ModuleList(TransformerLayer(config, sizes) for _ in range(config.num_hidden_layers))


class VisualBertModel(VisualBertPreTrainedModel):
    """VisualBERT without a head.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: VisualBertConfig) -> None:
        super().__init__(config)
        self.embeddings = VisualBertEmbeddings(config)
        self.encoder = VisualBertEncoder(config)
        if config.bypass_transformer:
            self.additional_layer = TransformerLayer(config, StreamSizes.of_text(config))
        self.pooler = Pooler(config.hidden_size, config.pooler_size, config.pooler_act, config.text_pooling)
        if config.fusion_method != "text":
            self.visual_pooler = Pooler(config.hidden_size, config.pooler_size, config.pooler_act)
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, embeddings: nn.Embedding) -> None:
        """Replace the word embeddings."""
        self.embeddings.word_embeddings = embeddings

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
        pair_index: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        read_places: ReadPlaces | None = None,
        word_table: Tensor | None = None,
    ) -> VisualBertModelOutput:
        """Read texts and, when given, images.

        Args:
            input_ids: Word pieces `[B, T]`.
            visual_embeds: Region features `[B, R, visual_embedding_dim]`; None for text alone.
            visual_locations: Normalised boxes `[B, R, visual_location_size]`. VisualBERT does not look at boxes
                (`visual_location_size` 0); they are accepted so that one batch serves both models.
            attention_mask: `[B, T]`, 1 for real word pieces; None when nothing is padded.
            token_type_ids: `[B, T]`, None for zeros.
            position_ids: `[B, T]`, None for 0, 1, 2, ...
            visual_attention_mask: `[B, R]`, 1 for real regions; None when nothing is padded.
            visual_token_type_ids: `[B, R]`, None for the config's `visual_token_type_id`.
            image_text_alignment: `[B, R, A]` positions of the word pieces a region is linked to, -1 where there are
                fewer; with `pair_index` `[P, R, A]`, a row a pair.
            pair_index: `[P, 2]` of (text row, image row): the pairs to read. Features are projected once an image,
                and words are embedded once a text, or with `bypass_transformer` read by all its layers. Outputs have
                P rows, but what is recorded of these layers has a row a text. Texts and images may differ in number.
            output_attentions: Whether to return attention weights; they are computed with the eager backend.
            output_hidden_states: Whether to return the states of every layer.
            read_places: What the caller reads of the last states; None for everything. Under packed execution, and
                when no states or weights are asked for, the other places are not computed and come back zero, and
                pooled vectors that are not read are None.
            word_table: The word table of `shared_table.share_table`, None for the module's own.

        Returns:
            The states, text first.

        Raises:
            ValueError: When inputs do not fit the model or each other.
        """
        config = self.config
        check_text(config, input_ids, attention_mask, token_type_ids, position_ids)
        self._check_image(
            input_ids,
            visual_embeds,
            visual_locations,
            visual_attention_mask,
            visual_token_type_ids,
            image_text_alignment,
            pair_index,
        )
        forward_pass = Pass.of(config, output_hidden_states, output_attentions)
        text_rows, image_rows = (None, None) if pair_index is None else pair_index.unbind(1)
        text_layout = forward_pass.layout(attention_mask, *input_ids.shape, input_ids.device)
        embedded = self.embeddings.text(input_ids, token_type_ids, position_ids, text_layout, word_table)
        text = Stream(forward_pass, embedded, text_layout)
        words = take_rows(text.padded(), text_rows)
        read = forward_pass.to_compute(read_places)
        pools_image = visual_embeds is not None and config.fusion_method != "text"
        rows = input_ids.shape[0] if pair_index is None else pair_index.shape[0]
        read_text = places_to_compute(read.text, True, rows, input_ids.shape[1], input_ids.device)
        if visual_embeds is None:
            text.run(self.encoder.layer, read=read_text)
            stream = text
        else:
            if config.bypass_transformer:
                text.run(self.encoder.layer)
            read_regions = places_to_compute(
                read.regions, read.pooled and pools_image, rows, visual_embeds.shape[1], visual_embeds.device
            )
            layout = forward_pass.layout(visual_attention_mask, *visual_embeds.shape[:2], visual_embeds.device)
            projected = self.embeddings.project_regions(visual_embeds, visual_locations, layout)
            if image_rows is not None:
                projected = layout.unpack(projected)[image_rows]
                visual_attention_mask = take_rows(visual_attention_mask, image_rows)
                visual_token_type_ids = take_rows(visual_token_type_ids, image_rows)
                layout = forward_pass.layout(visual_attention_mask, *projected.shape[:2], projected.device)
                projected = layout.pack(projected)
            regions = layout.unpack(
                self.embeddings.regions(projected, visual_token_type_ids, image_text_alignment, layout)
            )
            input_ids, attention_mask = take_rows(input_ids, text_rows), take_rows(attention_mask, text_rows)
            mask = _joint_mask(input_ids, regions, attention_mask, visual_attention_mask)
            joint = torch.cat((words, regions), dim=1)
            pooled_places = (0, input_ids.shape[1]) if pools_image else (0,)
            layout = forward_pass.layout(mask, *joint.shape[:2], joint.device, pooled_places)
            read_joint = join_places(read_text, read_regions, words.shape[:2], regions.shape[:2], joint.device)
            stream = Stream(forward_pass, layout.pack(joint), layout)
            if config.bypass_transformer:
                stream.states = layout.pack(torch.cat((take_rows(text.padded(), text_rows), regions), dim=1))
                stream.hidden_states += text.hidden_states[1:]
                stream.attentions += text.attentions
                stream.run([self.additional_layer], read=read_joint)
            else:
                stream.run(self.encoder.layer, read=read_joint)

        states = stream.padded()
        image_states = states[:, input_ids.shape[1] :]
        return VisualBertModelOutput(
            last_hidden_state=states,
            pooler_output=self.pooler(states[:, : input_ids.shape[1]], attention_mask) if read.pooled else None,
            visual_pooler_output=self.visual_pooler(image_states) if read.pooled and pools_image else None,
            hidden_states=tuple(stream.hidden_states) if forward_pass.record_states else None,
            attentions=tuple(stream.attentions) if forward_pass.record_weights else None,
        )

    def _check_image(
        self,
        input_ids: Tensor,
        visual_embeds: Tensor | None,
        visual_locations: Tensor | None,
        visual_attention_mask: Tensor | None,
        visual_token_type_ids: Tensor | None,
        image_text_alignment: Tensor | None,
        pair_index: Tensor | None,
    ) -> None:
        config = self.config
        if visual_embeds is None:
            given = (visual_attention_mask, visual_token_type_ids, image_text_alignment, pair_index)
            if any(x is not None for x in given):
                raise ValueError(
                    "visual_attention_mask, visual_token_type_ids, image_text_alignment or pair_index is given "
                    "without visual_embeds"
                )
            return
        num_texts, pairs = input_ids.shape[0], visual_embeds.shape[0]
        check_regions(config, visual_embeds, visual_attention_mask, num_texts if pair_index is None else None)
        if pair_index is not None:
            check_pairs(pair_index, num_texts, visual_embeds.shape[0])
            pairs = pair_index.shape[0]
        places = visual_embeds.shape[:2]
        if config.visual_location_size:
            check_locations(visual_locations, [*places, config.visual_location_size])
        check_ids("visual_token_type_ids", visual_token_type_ids, places, config.type_vocab_size, "type_vocab_size")
        if image_text_alignment is not None:
            kept = image_text_alignment[:, : places[1]] if image_text_alignment.dim() == 3 else image_text_alignment
            check_ids(
                "image_text_alignment",
                kept,
                (pairs, places[1], kept.shape[-1]),
                config.max_position_embeddings,
                "max_position_embeddings",
                -1,
            )


def _joint_mask(
    text_states: Tensor, region_states: Tensor, text: Tensor | None, regions: Tensor | None
) -> Tensor | None:
    if text is None and regions is None:
        return None
    text, regions = (
        torch.ones(states.shape[:2], dtype=torch.long, device=states.device) if mask is None else mask
        for states, mask in ((text_states, text), (region_states, regions))
    )
    return torch.cat((text, regions.to(text.dtype)), dim=1)


class VisualBertForPreTraining(VocabularyHeadMixin, VisualBertPreTrainedModel):
    """VisualBERT with its pre-training heads: masked words and sentence-image prediction (section 3.2).

    With `region_targets` it also predicts masked regions, as VOLTA's VisualBERT does.

    Args:
        config: The model's configuration.
    """

    _tied_weights_keys = {"cls.predictions.decoder.weight": "visual_bert.embeddings.word_embeddings.weight"}

    def __init__(self, config: VisualBertConfig) -> None:
        super().__init__(config)
        self.visual_bert = VisualBertModel(config)
        self.cls = PreTrainingHeads(config, config.hidden_size, config.layer_norm_eps)
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
        pair_index: Tensor | None = None,
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
            input_ids: As in `VisualBertModel`, and so are the arguments up to `image_text_alignment`.
            visual_embeds: Region features `[B, R, visual_embedding_dim]`, masked regions zeroed.
            visual_locations: `[B, R, L]`.
            attention_mask: `[B, T]`.
            token_type_ids: `[B, T]`.
            position_ids: `[B, T]`.
            visual_attention_mask: `[B, R]`.
            visual_token_type_ids: `[B, R]`.
            image_text_alignment: `[B, R, A]`.
            pair_index: `[P, 2]`; labels then have P rows.
            labels: Word pieces to predict, `[B, T]` or transformers' `[B, T + R]`, -100 elsewhere.
            sentence_image_labels: `[B]`, 0 when the text belongs to the image, 1 when not, -100 to skip.
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
            ValueError: As in `VisualBertModel`, and for labels that cannot be predicted: out of range, of another
                shape, on padding or on a global region that is not predicted.
        """
        word_table, decoder_table = self.shared_word_table(labels)
        states = self.visual_bert(
            input_ids,
            visual_embeds,
            visual_locations,
            attention_mask,
            token_type_ids,
            position_ids,
            visual_attention_mask,
            visual_token_type_ids,
            image_text_alignment,
            pair_index,
            output_attentions,
            output_hidden_states,
            self._read_places(input_ids, labels, sentence_image_labels, region_labels, return_logits),
            word_table,
            return_dict=True,
        )
        sequence, text_length = states.last_hidden_state, input_ids.shape[1]
        text_rows, image_rows = (None, None) if pair_index is None else pair_index.unbind(1)
        token_mask, region_mask = take_rows(attention_mask, text_rows), take_rows(visual_attention_mask, image_rows)
        region_states = None if visual_embeds is None else sequence[:, text_length:]
        if region_states is not None:
            token_mask = _joint_mask(sequence[:, :text_length], region_states, token_mask, region_mask)
        if labels is not None:
            check_token_labels(labels, sequence.shape[0], text_length, sequence.shape[1] - text_length)
            labels = nn.functional.pad(labels, (0, sequence.shape[1] - labels.shape[1]), value=IGNORE_INDEX)
        return self.cls(
            states,
            token_states=sequence,
            region_states=region_states,
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

    def _read_places(self, input_ids: Tensor, labels: Tensor | None, *others: Tensor | bool | None) -> ReadPlaces:
        read = self.cls.read_places(labels, *others)
        over_regions = labels is not None and labels.dim() == 2 and labels.shape[1] > input_ids.shape[1]
        return read._replace(regions=True) if over_regions else read
