"""Packing moves tokens and loses none."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_vl.packing import PackedLayout, PaddedLayout, choose_flash_layout, choose_layout, unpack_attention

MASK = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 1], [1, 0, 0, 0]])


def test_tokens_are_packed_in_order_and_unpacked_to_their_places():
    layout = PackedLayout(MASK)
    padded = torch.arange(12.0).view(3, 4, 1)
    packed = layout.pack(padded)
    assert packed.flatten().tolist() == [0, 1, 4, 6, 7, 8]
    assert layout.unpack(packed).flatten().tolist() == [0, 1, 0, 0, 4, 0, 6, 7, 8, 0, 0, 0]


def test_rows_close_the_gaps_inside_an_example():
    layout = PackedLayout(MASK)
    rows = layout.to_rows(layout.pack(torch.arange(12.0).view(3, 4, 1)))
    assert rows.squeeze(-1).tolist() == [[0, 1, 0], [4, 6, 7], [8, 0, 0]]
    assert layout.key_mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert layout.cu_seq_lens.tolist() == [0, 2, 5, 6]


def test_mean_is_over_real_tokens_in_both_layouts():
    states = torch.randn(3, 4, 5)
    packed, padded = PackedLayout(MASK), PaddedLayout(MASK, 3, 4)
    torch.testing.assert_close(packed.mean(packed.pack(states)), padded.mean(states))
    torch.testing.assert_close(padded.mean(states)[1], states[1, [0, 2, 3]].mean(0))


def test_attention_weights_return_to_padded_places():
    queries, keys = PackedLayout(MASK), PackedLayout(torch.tensor([[1, 0, 1], [1, 1, 1], [1, 1, 0]]))
    weights = torch.rand(3, 2, 3, 3)
    spread = unpack_attention(weights, queries, keys)
    assert spread.shape == (3, 2, 4, 3)
    assert spread[0, 0, 1, 2] == weights[0, 0, 1, 1]
    assert spread[1, 1, 3, 2] == weights[1, 1, 2, 2]
    assert spread[0, :, 2:].abs().sum() == 0 and spread[0, :, :, 1].abs().sum() == 0


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_every_real_token_survives_every_round_trip(rows):
    mask = torch.tensor(rows)
    mask[:, 0] = True
    layout, states = PackedLayout(mask), torch.randn(*mask.shape, 3)
    expected = states * mask[..., None]
    packed = layout.pack(states)
    torch.testing.assert_close(layout.unpack(packed), expected, rtol=0, atol=0)
    torch.testing.assert_close(layout.from_rows(layout.to_rows(packed)), packed, rtol=0, atol=0)
    torch.testing.assert_close(layout.unpack_rows(layout.to_rows(packed), 1), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("mask", "packs"),
    [
        (None, False),
        (torch.ones(2, 3), False),
        (torch.tensor([[1, 1, 0], [1, 1, 1]]), True),
        (torch.tensor([[0, 1, 1], [1, 1, 0]]), False),
    ],
    ids=["no mask", "nothing padded", "padded", "a pooled place is masked"],
)
def test_packs_when_that_saves_work_and_no_pooled_place_is_masked(mask, packs):
    assert isinstance(choose_layout(mask, 2, 3, pack=True), PackedLayout) == packs
    assert isinstance(choose_layout(mask, 2, 3, pack=False), PaddedLayout)


def test_flash_names_the_rows_whose_pooled_place_is_masked():
    with pytest.raises(ValueError, match=r"rows \[1\] .* places \[0\]"):
        choose_flash_layout(torch.tensor([[1, 1], [0, 1]]), 2, 2, torch.device("cpu"))
