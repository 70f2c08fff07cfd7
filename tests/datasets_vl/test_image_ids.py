from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_vl.image_ids import ImageIds

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@given(st.lists(TEXT, unique=True), st.lists(TEXT))
def test_finds_what_a_dictionary_finds(ids: list[str], others: list[str]) -> None:
    known = {image_id: position for position, image_id in enumerate(ids)}
    found = ImageIds(ids)
    asked = [*ids, *others]
    assert [found.find(image_id) for image_id in asked] == [known.get(image_id) for image_id in asked]
    expected = [known.get(image_id, -1) for image_id in asked]
    assert found.positions(pa.array(asked, pa.string())).tolist() == expected
    assert [found[position] for position in range(len(found))] == ids


def test_repeated_id_is_named_with_its_places() -> None:
    with pytest.raises(ValueError, match="1 image ids occur more than once, the first is 'b' at positions 1 and 3"):
        ImageIds(["a", "b", "c", "b"])
