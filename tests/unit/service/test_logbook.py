"""Logs: no secret in any of them, and each tenant's warnings in its own bounded buffer."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.service.logbook import BUFFERED_LINES, Logbook, Redactor, configure

SECRET = "canary-key-0123456789"
TOKEN = "canary-token-abcdef"
log = structlog.get_logger("inara_daemon.test")


@pytest.fixture(autouse=True)
def _context_of_its_own() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


def redactor(*secrets: str) -> Redactor:
    made = Redactor()
    made.know(secrets or (SECRET, TOKEN))
    return made


def cleaned(value: object) -> object:
    return redactor()(None, "info", {"event": "x", "value": value})["value"]


# --- Secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"at https://x/{TOKEN}?key={SECRET}", "at https://x/***?key=***"),
        (["a", f"<{SECRET}>"], ["a", "<***>"]),
        ((SECRET, 7), ["***", 7]),
        ({SECRET}, ["***"]),
        ({SECRET: 1}, {"***": 1}),
        (frozenset({SECRET}), ["***"]),
        ({"a": {"b": [{"c": SECRET}]}}, {"a": {"b": [{"c": "***"}]}}),
        (ValueError(f"bad {SECRET}"), "bad ***"),
        ([OSError(2, f"no {TOKEN}")], ["[Errno 2] no ***"]),
    ],
)
def test_secrets_are_masked_wherever_they_are_nested(value: object, shown: object) -> None:
    assert cleaned(value) == shown


@pytest.mark.parametrize("value", [None, True, 7, 0.5, "", "nothing to hide", [], {}])
def test_what_holds_no_secret_stays_as_it_is(value: object) -> None:
    assert cleaned(value) == value
    assert type(cleaned(value)) is type(value)


leaves = st.one_of(
    st.none(),
    st.integers(),
    st.tuples(st.text(max_size=5), st.sampled_from([SECRET, TOKEN]), st.text(max_size=5)).map("".join),
    st.sampled_from([SECRET, TOKEN]).map(RuntimeError),
)
nested = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(nested)
def test_secrets_survive_in_no_shape_of_value(value: object) -> None:
    shown = json.dumps(cleaned(value), ensure_ascii=False)
    assert SECRET not in shown
    assert TOKEN not in shown


@pytest.mark.parametrize("secrets", [("canary-1", "canary-1-longer"), ("canary-1-longer", "canary-1")])
def test_secrets_that_hold_another_one_are_masked_whole(secrets: tuple[str, str]) -> None:
    assert redactor(*secrets).clean("canary-1-longer, canary-1") == "***, ***"


def test_secrets_of_an_old_configuration_stay_masked() -> None:
    known = redactor(SECRET)
    known.know([TOKEN])
    known.know([])
    assert known.clean(f"{SECRET} {TOKEN}") == "*** ***"


def test_secrets_too_short_are_not_blotted_out_of_innocent_words() -> None:
    assert redactor("valk", "", "posts", "postgr").clean("valk posts to postgres") == "valk posts to ***es"


# --- The chain -------------------------------------------------------------------------------------------------------


def lines(work: Callable[[], object], *, as_json: bool, level: str = "info", book: Logbook | None = None) -> str:
    """What is printed while `work` is done."""
    stream = io.StringIO()
    configure(level=level, json=as_json, redactor=redactor(), logbook=book or Logbook(), stream=stream)
    work()
    return stream.getvalue()


def ours() -> None:
    log.warning("request_failed", url=f"https://x/{TOKEN}", tries=[{"key": SECRET}])


def a_librarys() -> None:
    logging.getLogger("library").warning("to %s with %s", TOKEN, SECRET)


def _fail() -> None:
    raise RuntimeError(SECRET) from ValueError(TOKEN)


def our_exception() -> None:
    try:
        _fail()
    except RuntimeError:
        log.exception("task_failed")


def a_librarys_exception() -> None:
    try:
        _fail()
    except RuntimeError:
        logging.getLogger("library").exception("failed")


def an_error_as_value() -> None:
    try:
        _fail()
    except RuntimeError as error:
        log.warning("task_failed", error=error, cause=[error.__cause__], stack_info=True)


def bound() -> None:
    with structlog.contextvars.bound_contextvars(key=SECRET):
        event = f"event with {TOKEN}"
        log.info(event)


WORK = [ours, a_librarys, our_exception, a_librarys_exception, an_error_as_value, bound]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("work", WORK)
def test_secrets_reach_no_line_however_it_is_logged_and_rendered(work: Callable[[], None], as_json: bool) -> None:
    printed = lines(work, as_json=as_json)
    assert "***" in printed
    assert SECRET not in printed
    assert TOKEN not in printed


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("work", [our_exception, a_librarys_exception])
def test_a_traceback_is_shown_with_its_cause(work: Callable[[], None], as_json: bool) -> None:
    printed = lines(work, as_json=as_json)
    assert printed.index("ValueError: ***") < printed.index("RuntimeError: ***")
    assert "in _fail" in printed


@pytest.mark.parametrize(("work", "event"), [(ours, "request_failed"), (a_librarys, "to *** with ***")])
def test_a_json_line_is_one_object_with_its_context(work: Callable[[], None], event: str) -> None:
    def with_context() -> None:
        with structlog.contextvars.bound_contextvars(tenant="grim", run=7, name="Ζεύς"):
            work()

    printed = lines(with_context, as_json=True)
    (found,) = [json.loads(line) for line in printed.splitlines()]
    assert found["event"] == event
    assert (found["level"], found["tenant"], found["run"]) == ("warning", "grim", 7)
    assert found["timestamp"].endswith("Z")
    assert "Ζεύς" in printed


def test_a_console_line_is_plain_where_no_terminal_reads_it() -> None:
    printed = lines(ours, as_json=False)
    assert "request_failed" in printed
    assert "url=https://x/***" in printed
    assert "\x1b" not in printed


def test_the_level_and_the_quiet_libraries_are_kept() -> None:
    libraries = ("aiohttp.access", "aiosqlite", "alembic", "apscheduler.scheduler", "sqlalchemy.engine")

    def work() -> None:
        for name in ("inara_daemon.test", *libraries):
            for level in ("debug", "info", "warning"):
                getattr(logging.getLogger(name), level)("%s-%s", name, level)

    told = [json.loads(line)["event"] for line in lines(work, as_json=True, level="debug").splitlines()]
    assert told[:3] == [f"inara_daemon.test-{level}" for level in ("debug", "info", "warning")]
    assert told[3:] == [f"{name}-warning" for name in libraries]
    assert lines(lambda: log.info("x_done"), as_json=True, level="warning") == ""


# --- The buffers -----------------------------------------------------------------------------------------------------


def note(book: Logbook, tenant: object, method: str = "warning", **more: Any) -> None:
    event = {"event": "x_failed", "timestamp": "2027-01-01T01:02:03.5Z", "level": method, "tenant": tenant} | more
    assert book(None, method, event) is event


def test_a_buffered_line_has_its_time_its_level_and_what_it_is_about() -> None:
    book = Logbook()
    note(book, "grim", run=7, name="Nova", tries=2, logger="l", exception="Traceback ...", stack="Stack ...")
    note(book, "grim", "exception")
    note(book, "grim", "critical")
    assert list(book.take("grim").lines) == [
        "01:02:03 warning x_failed name=Nova tries=2",
        "01:02:03 error   x_failed",
        "01:02:03 error   x_failed",
    ]


def test_the_buffer_is_bounded_keeps_the_newest_and_counts_what_it_dropped() -> None:
    book = Logbook()
    for number in range(BUFFERED_LINES):
        note(book, "grim", number=number)
    for number in range(BUFFERED_LINES, BUFFERED_LINES + 5):
        note(book, "grim", number=number)
    kept = book.take("grim")
    assert BUFFERED_LINES == 200
    assert [line.rpartition("=")[2] for line in kept.lines] == [str(number) for number in range(5, 205)]
    assert kept.dropped == 5


def test_a_full_buffer_has_dropped_nothing() -> None:
    book = Logbook()
    for _ in range(BUFFERED_LINES):
        note(book, "grim")
    assert book.take("grim").dropped == 0


def test_taking_empties_the_buffer() -> None:
    book = Logbook()
    for _ in range(BUFFERED_LINES + 1):
        note(book, "grim")
    book.take("grim")
    empty = book.take("grim")
    assert (list(empty.lines), empty.dropped) == ([], 0)


@pytest.mark.parametrize(
    ("method", "kept"),
    [("debug", 0), ("info", 0), ("warning", 1), ("error", 1), ("critical", 1), ("exception", 1)],
)
@pytest.mark.parametrize("logger", [log, logging.getLogger("library")])
def test_only_warnings_and_worse_are_buffered_once_whoever_logs_them(logger: Any, method: str, kept: int) -> None:
    book = Logbook()

    def work() -> None:
        with structlog.contextvars.bound_contextvars(tenant="grim"):
            getattr(logger, method)("x_failed")

    lines(work, as_json=True, level="debug", book=book)
    assert len(book.take("grim").lines) == kept


def test_isolation_no_line_of_a_tenant_is_in_anothers_buffer() -> None:
    book = Logbook()
    note(book, "grim", name="Nova")
    note(book, "dawn", name="Vega")
    note(book, "grim", name="Lyra")
    assert [line.rpartition("=")[2] for line in book.take("dawn").lines] == ["Vega"]
    assert [line.rpartition("=")[2] for line in book.take("grim").lines] == ["Nova", "Lyra"]


def test_isolation_a_line_without_a_tenant_is_nobodys() -> None:
    book = Logbook()
    note(book, None)
    note(book, ["grim"])
    assert book(None, "warning", {"event": "x_failed"}) == {"event": "x_failed"}
    assert [list(book.take(tenant).lines) for tenant in ("grim", "", "None")] == [[], [], []]


def test_secrets_are_masked_in_the_buffer_too() -> None:
    book = Logbook()

    def work() -> None:
        with structlog.contextvars.bound_contextvars(tenant="grim"):
            ours()
            a_librarys()
            our_exception()

    lines(work, as_json=True, book=book)
    kept = "\n".join(book.take("grim").lines)
    assert kept.count("\n") == 2
    assert "url=https://x/***" in kept
    assert SECRET not in kept
    assert TOKEN not in kept


def test_a_secret_is_masked_however_it_is_quoted() -> None:
    secret = "canary\\key'\"1"
    for quoted in (secret, str(KeyError(secret)), repr([secret]), json.dumps(secret)):
        assert "canary" not in redactor(secret).clean(quoted)
