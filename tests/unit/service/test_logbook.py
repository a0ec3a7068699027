"""Logs: no secret in any of them, and warnings in a bounded buffer of whoever can do something about them."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.log_lines import LINES_KEPT, LogLine, log_line
from inara_daemon.service.logbook import OPERATORS, TOLD_BY_REPORTS, Logbook, Redactor, configure
from inara_daemon.store.state.outbox import OPERATOR

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


def test_a_secret_is_masked_however_it_is_quoted() -> None:
    secret = "canary\\key'\"1"
    for quoted in (secret, str(KeyError(secret)), repr([secret]), json.dumps(secret)):
        assert "canary" not in redactor(secret).clean(quoted)


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


# --- Who gets which event --------------------------------------------------------------------------------------------

AT = datetime(2027, 1, 1, 1, 2, 3, 500_000, tzinfo=UTC)


def note(book: Logbook, tenant: object, method: str = "warning", **more: Any) -> None:
    event = {"event": "x_failed", "timestamp": "2027-01-01T01:02:03.5Z", "level": method, "tenant": tenant} | more
    assert book(None, method, event) is event


def shown(book: Logbook) -> dict[str, list[str]]:
    """What everybody gets, without the date and the time."""
    return {destination: [str(line)[15:] for line in lines] for destination, (lines, _) in book.take().items()}


@pytest.mark.parametrize("event", ["x_failed", *sorted(OPERATORS | TOLD_BY_REPORTS)])
def test_an_event_of_a_tenant_goes_to_whoever_can_do_something_about_it(event: str) -> None:
    told_by_reports = event in TOLD_BY_REPORTS
    book = Logbook()
    note(book, "grim", event=event)
    assert set(shown(book)) == ({OPERATOR} if event in OPERATORS else set()) | (set() if told_by_reports else {"grim"})


@pytest.mark.parametrize(
    ("event", "destinations"),
    [
        ("x_failed", {"grim"}),
        ("tenant_crashed", {OPERATOR}),
        ("tenant_stuck", {OPERATOR}),
        ("tenant_unusable", {OPERATOR}),
        ("webhook_dead", {OPERATOR}),
        ("message_lost", {OPERATOR}),
        ("delivery_crashed", {OPERATOR}),
        ("delivery_failing", set()),
        ("message_refused", set()),
        ("run_incomplete", set()),
        ("name_skipped", set()),
        ("database_failed", set()),
        ("discovery_failed", set()),
    ],
)
def test_these_events_have_these_destinations(event: str, destinations: set[str]) -> None:
    book = Logbook()
    note(book, "grim", event=event)
    assert set(shown(book)) == destinations


@pytest.mark.parametrize("tenant", [None, 7, ["grim"]])
def test_an_event_without_a_tenant_is_the_operators(tenant: object) -> None:
    book = Logbook()
    note(book, tenant)
    note(book, tenant, event="name_skipped")
    assert [line.split()[1] for line in shown(book).pop(OPERATOR)] == ["x_failed", "name_skipped"]


@pytest.mark.parametrize("event", ["x_failed", *sorted(OPERATORS | TOLD_BY_REPORTS)])
def test_the_operators_own_messages_cause_no_messages_to_anybody(event: str) -> None:
    book = Logbook()
    note(book, OPERATOR, event=event)
    assert book.take() == {}


def test_what_only_the_operator_can_mend_is_told_to_nobody_else() -> None:
    assert OPERATORS <= TOLD_BY_REPORTS


def test_isolation_no_line_of_a_tenant_is_in_anothers_buffer() -> None:
    book = Logbook()
    note(book, "grim", name="Nova")
    note(book, "dawn", name="Vega")
    note(book, "grim", name="Lyra")
    assert shown(book) == {
        "grim": ["warning x_failed name=Nova", "warning x_failed name=Lyra"],
        "dawn": ["warning x_failed name=Vega"],
    }


@pytest.mark.parametrize(
    ("method", "kept"),
    [("debug", False), ("info", False), ("warning", True), ("error", True), ("critical", True), ("exception", True)],
)
@pytest.mark.parametrize("logger", [log, logging.getLogger("library")])
@pytest.mark.parametrize("destination", ["grim", OPERATOR])
def test_only_warnings_and_worse_are_kept_once_whoever_logs_them(
    logger: Any, method: str, destination: str, *, kept: bool
) -> None:
    book = Logbook()

    def work() -> None:
        with structlog.contextvars.bound_contextvars(**{"tenant": destination} if destination else {}):
            getattr(logger, method)("x_failed")

    lines(work, as_json=True, level="debug", book=book)
    assert [(name, len(kept)) for name, kept in shown(book).items()] == ([(destination, 1)] if kept else [])


# --- What a line holds -----------------------------------------------------------------------------------------------


def test_a_line_has_its_time_its_level_and_what_it_is_about() -> None:
    book = Logbook()
    note(book, "grim", run=7, name="Nova", tries=2, logger="l", exception="Traceback ...", stack="Stack ...")
    note(book, "grim", "exception")
    note(book, "grim", "critical", event="y_failed")
    assert book.take() == {
        "grim": (
            (
                log_line("warning", "x_failed", "name=Nova tries=2", AT),
                log_line("error", "x_failed", "", AT),
                log_line("error", "y_failed", "", AT),
            ),
            0,
        )
    }


def test_a_line_for_the_operator_names_the_tenant_and_the_run() -> None:
    book = Logbook()
    note(book, "grim", event="tenant_crashed", run=7, error="boom")
    assert shown(book) == {
        OPERATOR: ["warning tenant_crashed tenant=grim run=7 error=boom"],
    }


def test_secrets_are_masked_in_the_buffers_too() -> None:
    book = Logbook()

    def work() -> None:
        for context in ({"tenant": "grim"}, {}):
            with structlog.contextvars.bound_contextvars(**context):
                ours()
                a_librarys()
                our_exception()
                an_error_as_value()

    lines(work, as_json=True, book=book)
    kept = shown(book)
    assert {destination: len(lines) for destination, lines in kept.items()} == {"grim": 4, OPERATOR: 4}
    text = json.dumps(kept)
    assert text.count("url=https://x/***") == 2
    assert SECRET not in text
    assert TOKEN not in text


# --- The buffers -----------------------------------------------------------------------------------------------------


def test_lines_that_differ_in_numbers_only_are_kept_as_one() -> None:
    book = Logbook()
    for number in range(500):
        note(book, "grim", tries=number)
    ((kept,), left_out) = book.take()["grim"]
    assert (kept.text, kept.count, left_out) == ("tries=499", 500, 0)


def name_of(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


def test_a_buffer_is_bounded_keeps_the_oldest_and_counts_what_found_no_room() -> None:
    book = Logbook()
    for number in range(LINES_KEPT + 5):
        note(book, "grim", name=name_of(number))
    note(book, "dawn")
    taken = book.take()
    kept, left_out = taken["grim"]
    assert [line.text for line in kept] == [f"name={name_of(number)}" for number in range(LINES_KEPT)]
    assert left_out == 5
    assert taken["dawn"][1] == 0


def test_a_full_buffer_still_joins_what_is_alike_and_counts_every_line_of_what_is_not() -> None:
    book = Logbook()
    for number in range(LINES_KEPT):
        note(book, "grim", name=name_of(number))
    note(book, "grim", name=name_of(LINES_KEPT - 1))
    book.put("grim", [replace(log_line("warning", "y_failed", "", AT), count=7)])
    kept, left_out = book.take()["grim"]
    assert (len(kept), kept[-1].count, left_out) == (LINES_KEPT, 2, 7)


def test_taking_empties_the_buffers() -> None:
    book = Logbook()
    for number in range(LINES_KEPT + 1):
        note(book, "grim", name=name_of(number))
    book.take()
    assert book.take() == {}
    note(book, "grim")
    assert book.take()["grim"][1] == 0


def test_what_could_not_be_delivered_is_put_back_with_what_was_left_out() -> None:
    book = Logbook()
    for number in range(LINES_KEPT + 3):
        note(book, "grim", name=name_of(number))
    lines, left_out = book.take()["grim"]
    book.put("grim", lines, left_out)
    note(book, "grim", name="late")
    assert book.take() == {"grim": (lines, 4)}


def test_every_line_kept_is_news_and_no_other_is() -> None:
    book = Logbook()
    news: list[int] = []
    book.on_news = lambda: news.append(1)
    note(book, "grim")
    note(book, "grim", "info")
    note(book, "grim", event="name_skipped")
    assert len(news) == 1


def test_news_are_told_when_the_line_is_there_to_be_taken() -> None:
    book = Logbook()
    taken: list[dict[str, tuple[tuple[LogLine, ...], int]]] = []
    book.on_news = lambda: taken.append(book.take())
    note(book, "grim")
    assert [list(found) for found in taken] == [["grim"]]


def test_lines_from_many_threads_are_all_kept_or_counted_while_others_take_them() -> None:
    book = Logbook()
    threads, each = 8, 300
    ready = threading.Barrier(threads + 1)
    taken: list[dict[str, tuple[tuple[LogLine, ...], int]]] = []

    def work(thread: int) -> None:
        ready.wait()
        for number in range(each):
            note(book, "grim", name=name_of(number % 150), thread=name_of(thread))

    with ThreadPoolExecutor(threads) as pool:
        working = [pool.submit(work, thread) for thread in range(threads)]
        ready.wait()
        while not all(task.done() for task in working):
            taken.append(book.take())
    for task in working:
        task.result()
    taken.append(book.take())
    kept = [found["grim"] for found in taken if "grim" in found]
    assert sum(sum(line.count for line in lines) + left_out for lines, left_out in kept) == threads * each
    assert all(len(lines) <= LINES_KEPT for lines, _ in kept)
