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
from .input_checks import check_ids, check_regions, check_text, check_token_labels
from .layers import Pooler, StreamSizes, TransformerLayer
from .losses import IGNORE_INDEX, LossDenominators
from .outputs import PreTrainingOutput, VisualBertModelOutput
from .streams import Pass, Stream
from .visualbert_embeddings import VisualBertEmbeddings


class VisualBertPreTrainedModel(PreTrainedModel):
    """What all VisualBERT classes share: configuration, initialisation and what transformers may switch on."""

    config_class = VisualBertConfig
    base_model_prefix = "visual_bert"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _no_split_modules = ["TransformerLayer", "VisualBertEmbeddings"]
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
        self.pooler = Pooler(config.hidden_size, config.pooler_size, config.pooler_act)
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
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> VisualBertModelOutput:
        """Read texts and, when given, images.

        Args:
            input_ids: Word pieces `[B, T]`.
            visual_embeds: Region features `[B, R, visual_embedding_dim]`; None for text alone.
            visual_locations: Accepted so that one batch serves both models; VisualBERT does not look at boxes.
            attention_mask: `[B, T]`, 1 for real word pieces; None when nothing is padded.
            token_type_ids: `[B, T]`, None for zeros.
            position_ids: `[B, T]`, None for 0, 1, 2, ...
            visual_attention_mask: `[B, R]`, 1 for real regions; None when nothing is padded.
            visual_token_type_ids: `[B, R]`, None for the config's `visual_token_type_id`.
            image_text_alignment: `[B, R, A]` positions of the word pieces a region is linked to, -1 where there are
                fewer.
            output_attentions: Whether to return attention weights; they are computed with the eager backend.
            output_hidden_states: Whether to return the states of every layer.

        Returns:
            The states, text first.

        Raises:
            ValueError: When inputs do not fit the model or each other.
        """
        config = self.config
        check_text(config, input_ids, attention_mask, token_type_ids, position_ids)
        self._check_image(input_ids, visual_embeds, visual_attention_mask, visual_token_type_ids, image_text_alignment)
        forward_pass = Pass.of(config, output_hidden_states, output_attentions)
        text_layout = forward_pass.layout(attention_mask, *input_ids.shape, input_ids.device)
        text = self.embeddings.text(input_ids, token_type_ids, position_ids, text_layout)
        if visual_embeds is None:
            stream = Stream(forward_pass, text, text_layout)
            stream.run(self.encoder.layer)
        else:
            layout = forward_pass.layout(visual_attention_mask, *visual_embeds.shape[:2], visual_embeds.device)
            regions = layout.unpack(
                self.embeddings.regions(visual_embeds, visual_token_type_ids, image_text_alignment, layout)
            )
            mask = _joint_mask(input_ids, visual_embeds, attention_mask, visual_attention_mask)
            read_places = (0,) if config.fusion_method == "text" else (0, input_ids.shape[1])
            joint = torch.cat((text_layout.unpack(text), regions), dim=1)
            layout = forward_pass.layout(mask, *joint.shape[:2], joint.device, read_places)
            stream = Stream(forward_pass, layout.pack(joint), layout)
            if config.bypass_transformer:
                alone = Stream(forward_pass, text, text_layout)
                alone.run(self.encoder.layer)
                stream.states = layout.pack(torch.cat((alone.padded(), regions), dim=1))
                stream.hidden_states += alone.hidden_states[1:]
                stream.attentions += alone.attentions
                stream.run([self.additional_layer])
            else:
                stream.run(self.encoder.layer)

        states = stream.padded()
        pools_image = visual_embeds is not None and config.fusion_method != "text"
        return VisualBertModelOutput(
            last_hidden_state=states,
            pooler_output=self.pooler(states),
            visual_pooler_output=self.visual_pooler(states[:, input_ids.shape[1] :]) if pools_image else None,
            hidden_states=tuple(stream.hidden_states) if forward_pass.record_states else None,
            attentions=tuple(stream.attentions) if forward_pass.record_weights else None,
        )

    def _check_image(
        self,
        input_ids: Tensor,
        visual_embeds: Tensor | None,
        visual_attention_mask: Tensor | None,
        visual_token_type_ids: Tensor | None,
        image_text_alignment: Tensor | None,
    ) -> None:
        config = self.config
        if visual_embeds is None:
            if any(x is not None for x in (visual_attention_mask, visual_token_type_ids, image_text_alignment)):
                raise ValueError(
                    "visual_attention_mask, visual_token_type_ids or image_text_alignment is given without "
                    "visual_embeds"
                )
            return
        check_regions(config, visual_embeds, visual_attention_mask, input_ids.shape[0])
        places = visual_embeds.shape[:2]
        check_ids("visual_token_type_ids", visual_token_type_ids, places, config.type_vocab_size, "type_vocab_size")
        if image_text_alignment is not None:
            kept = image_text_alignment[:, : places[1]] if image_text_alignment.dim() == 3 else image_text_alignment
            check_ids(
                "image_text_alignment",
                kept,
                (*places, kept.shape[-1]),
                config.max_position_embeddings,
                "max_position_embeddings",
                -1,
            )


def _joint_mask(
    input_ids: Tensor, visual_embeds: Tensor, text: Tensor | None, regions: Tensor | None
) -> Tensor | None:
    if text is None and regions is None:
        return None
    text = torch.ones_like(input_ids) if text is None else text
    regions = torch.ones(visual_embeds.shape[:2], device=text.device) if regions is None else regions
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
            visual_locations: Not looked at.
            attention_mask: `[B, T]`.
            token_type_ids: `[B, T]`.
            position_ids: `[B, T]`.
            visual_attention_mask: `[B, R]`.
            visual_token_type_ids: `[B, R]`.
            image_text_alignment: `[B, R, A]`.
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
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        sequence, text_length = states.last_hidden_state, input_ids.shape[1]
        token_mask = attention_mask
        if visual_embeds is not None:
            token_mask = _joint_mask(input_ids, visual_embeds, attention_mask, visual_attention_mask)
        if labels is not None:
            check_token_labels(labels, sequence.shape[0], text_length, sequence.shape[1] - text_length)
            labels = nn.functional.pad(labels, (0, sequence.shape[1] - labels.shape[1]), value=IGNORE_INDEX)
        return self.cls(
            states,
            token_states=sequence,
            region_states=None if visual_embeds is None else sequence[:, text_length:],
            token_mask=token_mask,
            region_mask=visual_attention_mask,
            labels=labels,
            sentence_image_labels=sentence_image_labels,
            region_labels=region_labels,
            region_inputs=region_inputs,
            loss_denominators=loss_denominators,
            return_logits=return_logits,
        )
