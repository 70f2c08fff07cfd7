"""Which of transformers' tests are skipped, and why: names, or beginnings of names that end in `*`."""

from __future__ import annotations

from fnmatch import fnmatchcase

NEEDS_MORE = {
    "needs a GPU or another accelerator": [
        "test_can_load_with_device_context_manager",
        "test_can_load_with_global_device_set",
        "test_cpu_offload",
        "test_disk_offload_*",
        "test_flex_attention_with_grads",
        "test_sdpa_can_compile_dynamic",
        "test_sdpa_can_dispatch_on_flash",
        "test_torch_compile_for_training",
    ],
    "needs several accelerators": ["test_model_parallelism"],
    "needs a GPU and flash attention": ["test_flash_attn_*"],
    "needs an accelerator and the package kernels": ["test_kernels_can_load_without_crashing"],
    "needs a GPU and DeepSpeed": ["test_resize_*_with_deepspeed*"],
}
"""Skipped where the machine has less than this; where it has more, they run or not as transformers decides."""

DOES_NOT_APPLY = {
    "ViLBERT and VisualBERT hold no other models": [
        "test_attn_implementation_composite_models",
        "test_can_set_attention_dynamically_composite_model",
        "test_internal_model_config_and_subconfig_are_same",
        "test_sdpa_can_dispatch_composite_models",
    ],
    "they generate no text: there is no cache and no decoder": [
        "test_bc_cache_name_forward",
        "test_causal_lm_loss_honors_shift_labels",
        "test_encoder_decoder_loss_no_double_shift",
        "test_sliding_window_mask",
    ],
    "they learn their positions and have no rotary ones": [
        "test_model_rope_*",
        "test_vision_axial_rope",
    ],
    "they have no experts": [
        "test_eager_matches_batched_and_grouped_inference_*",
        "test_moe_models_record_router_logits",
        "test_output_router_logits_from_config",
    ],
    "they keep no part in float32 when loaded in another type": ["test_keep_in_fp32_modules*"],
    "they have no plan for tensor parallelism": ["test_tp_plan_matches_params"],
    "keys of checkpoints are converted once, by examples/convert_checkpoint.py, and not while loading": [
        "test_can_load_from_already_mapped_keys",
        "test_reverse_loading_mapping",
    ],
    "texts are read as word pieces: there is no `inputs_embeds`": [
        "test_inputs_embeds",
        "test_inputs_embeds_matches_input_ids",
    ],
    "as in transformers' BERT, tables of positions are not resized": ["test_resize_position_vector_embeddings"],
    "states are recorded by the streams, which know their padding, and not by transformers' hooks": [
        "test_can_capture_specific_layers_hidden_states",
        "test_capture_outputs_decorator",
    ],
    "NLVR2 and SNLI-VE are classes: float labels are refused in words, there is no `problem_type`": [
        "test_problem_types"
    ],
    "it ends with a text alone, which ViLBERT refuses in words": ["ViLBertTest.test_load_with_mismatched_shapes"],
    "a processor of regions knows no pictures, videos or sound": [
        "RegionTextProcessorTest.test_*_images",
        "RegionTextProcessorTest.test_*_videos",
        "RegionTextProcessorTest.test_*_audio",
        "test_args_overlap_kwargs",
        "test_chat_template_audio_*",
        "test_get_num_multimodal_tokens_*",
        "test_processor_text_has_no_visual",
        "test_replacement_offsets",
    ],
    "the models hold no conversations: there is no chat template": [
        "test_apply_chat_template_*",
        "test_chat_template_*",
    ],
}
"""Skipped everywhere."""


def reason_for(test: str) -> str | None:
    """Why a test, "Class.name", is skipped everywhere; None when it is not."""
    return _find(DOES_NOT_APPLY, test)


def lack_for(test: str) -> str | None:
    """What a test, "Class.name", needs that not every machine has; None when nothing."""
    return _find(NEEDS_MORE, test)


def _find(table: dict[str, list[str]], test: str) -> str | None:
    name = test.partition(".")[2]
    for reason, patterns in table.items():
        if any(fnmatchcase(test if "." in pattern else name, pattern) for pattern in patterns):
            return reason
    return None
