"""VOLTA describes a model as a list of attention and feed-forward sub-layers; here it is read back into layers."""

from __future__ import annotations

from typing import NamedTuple

from .original_config import OriginalConfig

LISTS = (
    "tt_attn_sublayers",
    "tv_attn_sublayers",
    "vt_attn_sublayers",
    "vv_attn_sublayers",
    "t_ff_sublayers",
    "v_ff_sublayers",
    "shared_sublayers",
)
_WIDTHS = ("attn_hidden_size", "num_attention_heads", "intermediate_size")


class TwoStreams(NamedTuple):
    """A ViLBERT. Each layer is named by the number of its attention sub-layer; the next one is its feed-forward.

    Attributes:
        text: Attention sub-layers of the text layers.
        visual: Of the image layers.
        coattention: Of the co-attention layers.
        text_coattention_ids: Text layers that run before each co-attention layer.
        visual_coattention_ids: Image layers that run before each co-attention layer.
        shared: Sub-layers in which both streams use the same weights.
    """

    text: list[int]
    visual: list[int]
    coattention: list[int]
    text_coattention_ids: list[int]
    visual_coattention_ids: list[int]
    shared: list[int]


def _read_lists(original: OriginalConfig) -> dict[str, set[int]]:
    return {name: set(original.take(name, [])) for name in LISTS}


def _refuse(number: int, what: str) -> ValueError:
    return ValueError(
        f"sub-layer {number} of the VOLTA config {what}: this is neither VOLTA's ViLBERT nor its VisualBERT, and "
        "cannot be converted"
    )


def read_two_streams(original: OriginalConfig) -> TwoStreams:
    """Find the layers of a ViLBERT.

    Args:
        original: The config.

    Returns:
        The layers in the order in which they run.

    Raises:
        ValueError: When a sub-layer fits no ViLBERT.
    """
    tt, tv, vt, vv, text_ff, visual_ff, shared = _read_lists(original).values()
    streams = TwoStreams([], [], [], [], [], sorted(shared))
    expected_ff: dict[int, tuple[bool, bool]] = {}
    for number in sorted(tt | tv | vt | vv | text_ff | visual_ff):
        in_text, in_visual = number in tt, number in vv
        if number in text_ff | visual_ff:
            if expected_ff.get(number) != (number in text_ff, number in visual_ff):
                raise _refuse(number, "is a feed-forward that does not follow an attention of the same streams")
        elif number in tv | vt:
            if in_text or in_visual or not (number in tv and number in vt):
                raise _refuse(number, "mixes attention within and between the streams, or goes one way only")
            streams.text_coattention_ids.append(len(streams.text))
            streams.visual_coattention_ids.append(len(streams.visual))
            streams.coattention.append(number)
            expected_ff[number + 1] = (True, True)
        else:
            streams.text.extend([number] * in_text)
            streams.visual.extend([number] * in_visual)
            expected_ff[number + 1] = (in_text, in_visual)
    lonely = sorted(set(expected_ff) - text_ff - visual_ff)
    if lonely:
        raise _refuse(lonely[0] - 1, "is an attention without a feed-forward behind it")
    return streams


def read_one_stream(original: OriginalConfig) -> list[int]:
    """Find the layers of a VisualBERT: every attention over both, every weight shared.

    Args:
        original: The config.

    Returns:
        The attention sub-layer of each layer; the next one is its feed-forward.

    Raises:
        ValueError: When a sub-layer fits no VisualBERT.
    """
    tt, tv, vt, vv, text_ff, visual_ff, shared = _read_lists(original).values()
    for number in sorted(tt | tv | vt | vv):
        if not all(number in attention for attention in (tt, tv, vt, vv)):
            raise _refuse(number, "does not attend over text and image at once")
        if number + 1 not in text_ff & visual_ff:
            raise _refuse(number, "is an attention without a feed-forward of both streams behind it")
    for number in sorted(tt | text_ff | visual_ff):
        if number in text_ff | visual_ff and number - 1 not in tt:
            raise _refuse(number, "is a feed-forward that does not follow an attention")
        if number not in shared:
            raise _refuse(number, "has weights of its own for text and for image")
    return sorted(tt)


def coattention_width(original: OriginalConfig, sublayers: list[int]) -> tuple[int, int]:
    """Width and heads of the co-attention sub-layers.

    Args:
        original: The config.
        sublayers: Their numbers.

    Returns:
        Width and number of heads.

    Raises:
        ValueError: When two of them differ.
    """
    found = {
        (
            _width(original, "attn_hidden_size", "hidden_size", number),
            _width(original, "num_attention_heads", "num_attention_heads", number),
        )
        for number in sublayers
    }
    if len(found) > 1:
        raise ValueError(f"the co-attention sub-layers {sublayers} have several widths and heads: {sorted(found)}")
    return found.pop() if found else (original.take("hidden_size", None), original.take("num_attention_heads", None))


def check_widths(original: OriginalConfig, coattention: list[int]) -> None:
    """Make sure that no sub-layer but a co-attention has a width of its own.

    Args:
        original: The config.
        coattention: Numbers of the co-attention sub-layers.

    Raises:
        ValueError: Naming the sub-layer.
    """
    for kind in _WIDTHS:
        for stream in ("", "v_"):
            default = f"{stream}{kind.replace('attn_hidden', 'hidden')}"
            for number, width in original.take(f"sublayer2{stream}{kind}", {}).items():
                if int(number) in coattention and kind != "intermediate_size":
                    continue
                if width != original.take(default, None):
                    raise _refuse(int(number), f"has a {kind} of its own ({width})")


def _width(original: OriginalConfig, kind: str, default: str, number: int) -> int:
    return original.take(f"sublayer2{kind}", {}).get(str(number), original.take(default, None))
