from __future__ import annotations

import codecs
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.json_document import json_path, read_document
from inara_daemon.problems import ConfigurationError


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (b"", "top level", "is empty"),
        (b"\xef\xbb\xbf \n", "top level", "is empty"),
        (b"[", "line 1, column 2", "the file ends too early"),
        (b'[\n {"a": 1,}\n]', "line 2, column", "remove the"),
        (b'[{"a": 1},\n]', "line ", "remove the"),
        (b"[{'a': 1}]", "line 1, column 3", "use double quotes"),
        (b"[{\"a\": 'b'}]", "line 1, column 8", "use double quotes"),
        ('[{"a": “b”}]'.encode(), "line 1, column 8", "use straight double quotes"),
        (b'[{"a": True}]', "line 1, column 8", "write true in lower case"),
        (b'[{"a": None}]', "line 1, column 8", "write null"),
        (b'[{"a" 1}]', "line 1, column 7", "put a colon"),
        (b'[{"a": 1 "b": 2}]', "line 1, column 10", "put a comma"),
        (b'{"a": 1}\n{"b": 2}', "line 2, column 1", "remove what follows the end"),
        (b'["a\n"]', "line 1, column 4", "close the quote before the end of the line"),
        (b'["a', "line 1, column 2", "close the quote"),
        (b'["C:\\db"]', "line 1, column 5", "write a backslash twice"),
        (b"[ // none\n]", "line 1, column 3", "JSON has no comments"),
        (b"[?]", "line 1, column 2", "is not valid JSON"),
        (b'[\n"\xfc"]', "line 2", "save the file as UTF-8"),
        (codecs.BOM_UTF16_LE + "[]".encode("utf-16-le"), "top level", "save the file as UTF-8"),
        (b"[" * 100_000, "top level", "is nested too deeply"),
        (b"[" + b"1" * 5000 + b"]", "top level", "a number with thousands of digits"),
    ],
)
def test_a_text_that_is_no_json_is_told_with_its_place_and_what_to_check(text: bytes, where: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_document(text)
    (problem,) = caught.value.problems
    assert problem.where.startswith(where)
    assert words in str(problem)


def test_a_byte_order_mark_does_not_count() -> None:
    assert read_document(b"\xef\xbb\xbf[1]") == ([1], [])


def test_a_key_written_twice_is_told_with_its_path_and_not_its_values() -> None:
    _, problems = read_document(b'{"tenants": [{}, {"a": 1, "a": 2, "b": {"c": 1, "c": "canary", "c": 3}}], "x": 1}')
    assert [problem.where for problem in problems] == ["tenants[1].a", "tenants[1].b.c"]
    assert "canary" not in str(problems)


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ((), "top level"),
        ((0,), "[0]"),
        ((0, "db_uri"), "[0].db_uri"),
        (("tenants", 2, "inara_daemon", "schedule"), "tenants[2].inara_daemon.schedule"),
        (("my-id", "db_uri"), "my-id.db_uri"),
        (("Ελλάς", "id"), '["Ελλάς"].id'),
        (("a\nb\ud800", 'q"'), '["a b "]["q\\""]'),
        (("x" * 100,), f'["{"x" * 64}"]'),
    ],
)
def test_a_place_is_written_as_in_the_document(parts: tuple[int | str, ...], path: str) -> None:
    assert json_path(parts) == path


@given(st.one_of(st.binary(), st.text().map(str.encode), st.text("[]{}\",:'ab1 \n").map(str.encode)))
def test_no_bytes_do_anything_but_be_read_or_refused(text: bytes) -> None:
    with suppress(ConfigurationError):
        read_document(text)
