from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets_vl.tasks import json_stream
from datasets_vl.tasks.json_stream import read_outline, stream_entries, stream_list
from datasets_vl.tasks.records import InvalidAnnotation

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(
    content=st.dictionaries(st.text(max_size=5), VALUES, max_size=5),
    piece=st.integers(1, 40),
    indent=st.sampled_from([None, 3]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_entries_are_what_the_json_library_reads(tmp_path: Path, monkeypatch, content, piece: int, indent) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", piece)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
    assert list(stream_entries(path)) == list(content.items())


@given(values=st.lists(VALUES, max_size=6), piece=st.integers(1, 40), before=VALUES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_is_found_between_other_entries(tmp_path: Path, monkeypatch, values, piece: int, before) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", piece)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"info": before, "rows": values, "end": 1}), encoding="utf-8")
    assert list(stream_list(path, "rows")) == values


@given(values=st.lists(VALUES, max_size=6), piece=st.integers(1, 40))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_may_be_the_list(tmp_path: Path, monkeypatch, values, piece: int) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", piece)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    assert list(stream_list(path)) == values
    assert read_outline(path) == []


def test_an_outline_has_all_but_what_is_in_the_records(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"info": {"year": 2014}, "rows": [{"a": 1}, {"b": [2]}], "a": ["x", {"y": 1}, [{}]], "n": 0.5} ')
    assert read_outline(path) == {"info": {"year": 2014}, "rows": [{}, {}], "a": ["x", {}, [{}]], "n": 0.5}
    with pytest.raises(InvalidAnnotation, match=r"a\.json: expected a list, got \{'info'"):
        list(stream_list(path))
    path.write_text(" 7 ")
    assert read_outline(path) == 7


def test_memory_is_that_of_a_value_not_of_the_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(json_stream, "_PIECE", 4096)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"info": {}, "rows": [{"number": i, "text": "x" * 100} for i in range(20_000)]}))
    assert path.stat().st_size > 2_000_000
    tracemalloc.start()
    total = sum(row["number"] for row in stream_list(path, "rows"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 20_000 * 19_999 // 2
    assert peak < 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"rows": [{"a": 1}, {"a": ',
            r"a\.json, character 26: not JSON: Expecting value; the file ends here: is it whole",
        ),
        ('{"rows": [{"a": 1} {"a": 2}]}', r"a\.json, character 19: not JSON: expected ',', got '\{'"),
        ('{"rows": [1, 2', r"a\.json, character 14: not JSON: expected ',', got ''; the file ends here: is it whole"),
        ('{"rows": {"a": 1}}', r"a\.json, rows: expected a list, got \{'a': 1\}"),
        ('{"row": []}', r"a\.json: the JSON object has no list 'rows'"),
        ("[1]", r"a\.json, character 0: not JSON: expected '\{', got '\['"),
        ("", r"a\.json, character 0: not JSON: expected '\{', got ''; the file ends here"),
        ("{1: 2}", r"a\.json, character 1: not JSON: expected a key in quotes"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InvalidAnnotation, match=message):
        list(stream_list(path, "rows"))
