from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_vl.captions import CaptionTable
from datasets_vl.image_table import group_by_image


@given(names=st.lists(st.sampled_from("abcde")))
def test_rows_of_an_image_come_together_in_their_order(names: list[str]) -> None:
    expected = defaultdict(list)
    for row, name in enumerate(names):
        expected[name].append(row)
    image_ids, offsets, order = group_by_image(names)
    assert image_ids.array.to_pylist() == list(expected)
    rows = order.to_pylist()
    groups = [rows[start:stop] for start, stop in zip(offsets[:-1], offsets[1:], strict=True)]
    assert groups == list(expected.values())


def test_rows_know_their_image() -> None:
    table = CaptionTable.from_pairs([("b", "x"), ("a", "y"), ("b", "z")])
    assert [table.image_of(row) for row in range(3)] == ["b", "b", "a"]
    assert (table.rows_of("b"), table.rows_of("a"), table.rows_of("c")) == (range(2), range(2, 3), range(0))
    assert (table.captions_of("b"), table.captions_at(1)) == (range(2), range(2, 3))
    with pytest.raises(IndexError, match="caption 3 of a table of 3"):
        table.image_of(3)
