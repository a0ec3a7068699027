"""Log lines for a channel: those alike are one, none is lost uncounted, and no loop that fails floods anybody."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inara_daemon.log_lines import (
    HOUR_SECONDS,
    LINES_A_MESSAGE,
    LINES_AN_HOUR,
    LINES_KEPT,
    LONGEST_LINE,
    MESSAGE_SECONDS,
    ROOM_IN_A_MESSAGE,
    ROOM_IN_A_REPORT,
    Allowance,
    Digest,
    LogLine,
    digest_report,
    join,
    log_line,
    next_digest,
    that_fit,
)
from inara_daemon.notify.discord_format import render
from inara_daemon.report import Outcome
from inara_daemon.report_text import build
from tests.quiet_run import facts

AT = datetime(2027, 1, 1, 1, 2, 3, 500_000, tzinfo=UTC)
BOOTED = 5_000.0
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ROCKET = "\N{ROCKET}"
HALVES = st.sampled_from([chr(0xD800), chr(0xDFFF)])
ANY_TEXT = st.text(st.characters(exclude_categories=()) | HALVES | st.sampled_from("`\n\t1 "), max_size=80)


def word(number: int) -> str:
    """A text that differs from every other one in more than numbers."""
    return "".join(LETTERS[int(digit)] for digit in str(number))


def line(event: str = "x_failed", text: str = "", *, level: str = "warning", seconds: float = 0) -> LogLine:
    return log_line(level, event, text, AT + timedelta(seconds=seconds))


def lines(count: int, start: int = 0) -> tuple[LogLine, ...]:
    return tuple(line(text=word(number)) for number in range(start, start + count))


def counted(some: Sequence[LogLine]) -> int:
    return sum(line.count for line in some)


# --- One line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "event", "text", "shown"),
    [
        ("warning", "x_failed", "name=Nova", "01-01 01:02:03 warning x_failed name=Nova"),
        ("error", "x_failed", "", "01-01 01:02:03 error   x_failed"),
    ],
)
def test_a_line_has_its_date_its_time_its_level_and_what_it_is_about(
    level: str, event: str, text: str, shown: str
) -> None:
    assert str(log_line(level, event, text, AT)) == shown


def test_a_line_that_came_often_has_its_count_and_its_first_and_last_time() -> None:
    joined = line(text="tries=1")
    for seconds in range(1, 1_200):
        joined = joined.joined(line(text=f"tries={seconds}", seconds=seconds))
    assert (joined.first_at, joined.last_at, joined.count) == (AT, AT + timedelta(seconds=1_199), 1_200)
    assert str(joined) == "01-01 01:02:03 warning x_failed tries=1199 (1,200 times until 01:22:02)"


def test_a_line_that_came_over_midnight_says_until_which_day() -> None:
    joined = line().joined(line(seconds=86_400))
    assert str(joined) == "01-01 01:02:03 warning x_failed (2 times until 01-02 01:02:03)"


def test_an_endless_line_is_kept_up_to_a_thousand_signs_and_shown_up_to_three_hundred() -> None:
    endless = log_line("warning", "x_failed", "y" * 5_000, AT)
    assert endless.text == "y" * 1_000
    assert LONGEST_LINE == 300
    beginning = "01-01 01:02:03 warning x_failed "
    assert str(endless) == beginning + "y" * (299 - len(beginning)) + "…"
    times = " (2 times until 01:02:03)"
    assert str(endless.joined(endless)) == beginning + "y" * (299 - len(beginning) - len(times)) + "…" + times


def test_a_line_that_just_fits_is_shown_whole() -> None:
    beginning = "01-01 01:02:03 warning x_failed "
    whole = "y" * (300 - len(beginning))
    assert str(line(text=whole)) == beginning + whole
    assert str(line(text=f"{whole}y")) == beginning + whole[:-1] + "…"


@pytest.mark.parametrize("half", [0xD800, 0xDFFF])
def test_a_line_holds_nothing_that_cannot_be_stored(half: int) -> None:
    kept = log_line("warning", f"{chr(half)}_failed", f"name={chr(half)}", AT)
    assert (kept.event, kept.text) == ("?_failed", "name=?")


def test_what_a_library_logs_is_kept_up_to_two_hundred_signs_that_can_be_stored() -> None:
    event = log_line("warning", "\ud800" + "y" * 5_000, "", AT).event
    assert event == "?" + "y" * 199


# --- Which are alike -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (line(text="tries=1"), line(text="tries=17"), True),
        (line(text="at 10:00 in 1.5 s"), line(text="at 9:59 in 20.25 s"), True),
        (line(seconds=0), line(seconds=500), True),
        (line("x_failed"), line("y_failed"), False),
        (line(level="warning"), line(level="error"), False),
        (line(text="name=Nova"), line(text="name=Vega"), False),
        (line(text="name=Nova"), line(text="who=Nova"), False),
        (line(text="a=1"), line(text="a=1 b=2"), False),
        (line(text="tries="), line(text="tries=1"), False),
    ],
)
def test_lines_are_alike_if_they_differ_in_numbers_only(one: LogLine, other: LogLine, *, alike: bool) -> None:
    joined, left_out = join([one], [other])
    assert (len(joined), left_out) == (1 if alike else 2, 0)
    assert counted(joined) == 2


def test_lines_of_any_text_have_an_identity() -> None:
    assert line(text="half a sign: \ud800").identity != line(text="half a sign:").identity


def test_only_what_is_kept_of_an_event_makes_lines_differ() -> None:
    assert line("x" * 200 + "a").identity == line("x" * 200 + "b").identity
    assert line("x" * 199 + "a").identity != line("x" * 199 + "b").identity
    assert line("\ud800_failed").identity == line("?_failed").identity


def test_a_line_has_the_identity_that_it_was_given_whatever_its_text() -> None:
    one, other = replace(line("x_failed"), identity="same"), replace(line("y_failed"), identity="same")
    assert join([one], [other]) == ((replace(other, count=2),), 0)


def test_a_line_keeps_its_identity_in_all_that_is_joined_to_it() -> None:
    one, other = line(text="tries=1"), line(text="tries=2", seconds=9)
    assert one.joined(other).identity == other.joined(one).identity == one.identity


def test_endless_lines_that_differ_in_numbers_only_are_alike() -> None:
    assert line(text=f"1 {LETTERS * 100}").identity == line(text=f"22 {LETTERS * 100}").identity


def test_lines_keep_the_order_in_which_they_first_came() -> None:
    first, second = line(text="a 1"), line(text="b 1")
    joined, _ = join([first, second], [line(text="a 2", seconds=9)])
    assert [item.text for item in joined] == ["a 2", "b 1"]


def test_lines_that_come_late_are_told_in_their_place() -> None:
    late, early = line(text="b", seconds=9), line(text="a")
    assert join([late], [early]) == ((early, late), 0)


def test_only_so_many_different_lines_wait_and_the_others_are_counted() -> None:
    assert LINES_KEPT == 100
    kept, left_out = join(lines(99), lines(4, start=99))
    assert (kept, left_out) == (lines(100), 3)
    kept, left_out = join(kept, [*lines(2), replace(line("y_failed", level="error"), count=7)])
    assert (len(kept), counted(kept), left_out) == (100, 102, 7)


@given(st.lists(st.lists(st.integers(0, 140), max_size=60), max_size=12))
def test_joined_and_left_out_are_all_and_what_waits_is_bounded(batches: list[list[int]]) -> None:
    waiting: tuple[LogLine, ...] = ()
    left_out = 0
    for batch in batches:
        waiting, more = join(waiting, [line(text=word(number)) for number in batch])
        left_out += more
        assert len(waiting) <= LINES_KEPT
        assert len({item.identity for item in waiting}) == len(waiting)
    assert counted(waiting) + left_out == sum(map(len, batches))


@given(st.permutations(range(4)))
def test_a_joined_line_ends_after_it_began_in_whichever_order_its_parts_come(order: Sequence[int]) -> None:
    joined, _ = join([], [line(seconds=seconds) for seconds in order])
    assert [(item.first_at, item.last_at) for item in joined] == [(AT, AT + timedelta(seconds=3))]


# --- How many are told -----------------------------------------------------------------------------------------------


def told_at(*messages: tuple[float, int], next_at: float = 0.0) -> Allowance:
    return Allowance(next_at, tuple((BOOTED + seconds, count) for seconds, count in messages))


def test_where_nothing_waits_nothing_is_told() -> None:
    assert next_digest((), Allowance(), BOOTED) is None


def test_the_first_line_is_told_at_once() -> None:
    assert next_digest(lines(1), Allowance(), BOOTED) == Digest(
        lines(1), 0, Allowance(BOOTED + MESSAGE_SECONDS, ((BOOTED, 1),))
    )


def test_the_next_message_comes_no_sooner_than_five_minutes_later() -> None:
    assert MESSAGE_SECONDS == 300
    allowance = told_at((0, 1), next_at=BOOTED + 300)
    assert next_digest(lines(1), allowance, BOOTED + 299.9) is None
    assert next_digest(lines(1), allowance, BOOTED + 300) is not None
    assert allowance.ready_at(BOOTED) == BOOTED + 300


def test_a_message_tells_twenty_lines_the_oldest_first_and_the_rest_waits() -> None:
    assert LINES_A_MESSAGE == 20
    digest = next_digest(lines(50), Allowance(), BOOTED)
    assert digest == Digest(lines(20), 0, Allowance(BOOTED + MESSAGE_SECONDS, ((BOOTED, 20),)))


def test_a_message_tells_no_more_lines_than_there_is_room_for() -> None:
    assert ROOM_IN_A_MESSAGE == 3_000
    waiting = tuple(line(text=f"{word(number)}{'y' * 500}") for number in range(20))
    digest = next_digest(waiting, Allowance(), BOOTED)
    assert digest == Digest(waiting[:9], 0, Allowance(BOOTED + MESSAGE_SECONDS, ((BOOTED, 9),)))


def test_beyond_sixty_lines_an_hour_the_rest_waits_and_is_not_held_back() -> None:
    assert (LINES_AN_HOUR, HOUR_SECONDS) == (60, 3_600)
    waiting = (*lines(24), replace(line("y_failed", level="error"), count=1_000))
    digest = next_digest(waiting, told_at((0, 20), (300, 30)), BOOTED + 600)
    assert digest is not None
    assert (digest.told, digest.held_back) == (lines(10), 0)
    assert digest.after.held_back == 0
    assert digest.after.left(BOOTED + 600) == 0
    assert next_digest(waiting[10:], digest.after, BOOTED + 3_599) is None
    assert next_digest(waiting[10:], digest.after, BOOTED + 3_600) is not None


def test_when_an_hours_lines_are_spent_the_next_ones_wait_until_the_first_are_an_hour_old() -> None:
    spent = told_at((0, 20), (300, 20), (600, 20), next_at=BOOTED + 900)
    assert spent.ready_at(BOOTED + 900) == BOOTED + 3_600
    assert next_digest(lines(30), spent, BOOTED + 3_599) is None
    digest = next_digest(lines(20), spent, BOOTED + 3_600)
    assert digest is not None
    assert (digest.told, digest.held_back) == (lines(20), 0)
    assert [at - BOOTED for at, _ in digest.after.told] == [300, 600, 3_600]


def test_a_message_without_lines_gives_the_hour_none_of_them_back() -> None:
    spent = told_at((0, 0), (300, 30), (600, 30), next_at=BOOTED + 900)
    assert spent.ready_at(BOOTED + 900) == BOOTED + 3_900
    assert next_digest(lines(1), spent, BOOTED + 3_600) is None


def test_messages_of_more_than_an_hour_ago_give_the_hour_nothing_back() -> None:
    spent = told_at((-3_000, 20), (300, 30), (600, 30), next_at=BOOTED + 900)
    assert spent.ready_at(BOOTED + 900) == BOOTED + 3_900


def test_no_message_is_empty_at_the_very_end_of_an_hour() -> None:
    spent = Allowance(0.0, ((0.1, LINES_AN_HOUR),))
    digest = next_digest(lines(1), spent, spent.ready_at(300.0))
    assert digest is None or digest.told


def test_how_many_were_held_back_is_told_even_if_nothing_else_is() -> None:
    assert next_digest((), Allowance(held_back=7), BOOTED) == Digest(
        (), 7, Allowance(BOOTED + MESSAGE_SECONDS, ((BOOTED, 0),))
    )


@pytest.mark.parametrize(
    ("text", "room"),
    [
        ("", 31 + 1),
        ("name=Nova", 31 + 10 + 1),
        (ROCKET, 31 + 3 + 1),
        ("`", 31 + 3 + 1),
    ],
)
def test_a_line_takes_its_utf_16_units_and_its_backticks_twice(text: str, room: int) -> None:
    some = [line(text=text)] * 3
    assert [that_fit(some, room * fits - less) for fits in (1, 2, 3, 9) for less in (1, 0)] == [0, 1, 1, 2, 2, 3, 3, 3]


def test_a_line_behind_one_that_does_not_fit_waits_with_it() -> None:
    short, long = line(text="a"), line(text="y" * 500)
    assert that_fit([short, long, short], len(str(short)) * 2 + 2) == 1


def test_where_there_is_no_line_none_fits() -> None:
    assert that_fit((), 900) == 0


@given(st.lists(ANY_TEXT, max_size=40))
def test_lines_that_fit_are_all_shown_and_the_first_one_always_fits(texts: list[str]) -> None:
    waiting = [log_line("warning", text, text * 20, AT) for text in texts]
    digest = next_digest(waiting, Allowance(held_back=1), BOOTED)
    assert digest is not None
    assert bool(digest.told) is bool(waiting)
    report = digest_report(digest, "Grim" * 50, AT, lost=("The report was lost " * 20,) * 6)
    (alone,) = render(report)["embeds"]
    assert len(lines_shown(alone["description"])) == len(digest.told)
    fitting = that_fit(waiting, ROOM_IN_A_REPORT)
    assert bool(fitting) is bool(waiting)
    run = facts(log_lines=tuple(map(str, waiting[:fitting])))
    beside = [field["value"] for field in render(build(run))["embeds"][0]["fields"] if field["name"] == "Log"]
    assert sum(len(lines_shown(value)) for value in beside) == fitting


def lines_shown(value: str) -> list[str]:
    """The lines of a code block, of which none may have been left out."""
    _, _, block = value.partition("```text\n")
    assert "… and" not in block
    return block.splitlines()[:-1]


class Channel(RuleBasedStateMachine):
    """A channel that is told as soon as it may be, whatever arrives and however long nothing does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BOOTED
        self.waiting: tuple[LogLine, ...] = ()
        self.allowance = Allowance()
        self.logged = self.told = self.held_back = 0
        self.messages: list[tuple[float, Digest]] = []

    @initialize(dice=st.randoms(use_true_random=False))
    def deal(self, dice: random.Random) -> None:
        self.dice = dice

    @rule(count=st.integers(0, 150), different=st.integers(1, 150))
    def lines_arrive(self, count: int, different: int) -> None:
        texts = [word(self.dice.randrange(different)) for _ in range(count)]
        long = "y" * self.dice.choice([0, 0, 500])
        self.waiting, left_out = join(self.waiting, [line(text=text + long) for text in texts])
        assert not left_out or len(self.waiting) == LINES_KEPT
        held_back = self.allowance.held_back + left_out
        self.allowance = Allowance(self.allowance.next_at, self.allowance.told, held_back)
        self.logged += count

    @rule(seconds=st.sampled_from([1.0, 60.0, 299.0, 300.0, 301.0, 900.0, 2_700.0, 3_599.0, 3_600.0, 9_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    @rule()
    def time_passes_until_something_may_be_told(self) -> None:
        self.now = max(self.now, self.allowance.ready_at(self.now))
        before = len(self.messages)
        had_news = bool(self.waiting or self.allowance.held_back)
        self.look()
        assert len(self.messages) == before + had_news

    @rule(bursts=st.integers(1, 30))
    def a_loop_fails(self, bursts: int) -> None:
        for _ in range(bursts):
            self.lines_arrive(30, 10_000)
            self.time_passes(60.0)

    @rule()
    def a_report_takes_what_it_has_room_for(self) -> None:
        fitting = that_fit(self.waiting, ROOM_IN_A_REPORT)
        self.told += counted(self.waiting[:fitting])
        self.held_back += self.allowance.held_back
        self.waiting = self.waiting[fitting:]
        self.allowance = replace(self.allowance, held_back=0)

    def look(self) -> None:
        digest = next_digest(self.waiting, self.allowance, self.now)
        if digest is None:
            return
        assert digest.told == self.waiting[: len(digest.told)]
        assert bool(digest.told) is bool(self.waiting)
        assert digest.held_back == self.allowance.held_back
        self.waiting = self.waiting[len(digest.told) :]
        self.allowance = digest.after
        self.told += counted(digest.told)
        self.held_back += digest.held_back
        self.messages.append((self.now, digest))
        self.see()

    def see(self) -> None:
        """Hold the message that has just left against what a channel may be told."""
        (now, digest), *_ = earlier = self.messages[::-1]
        assert digest.told or digest.held_back
        assert len(digest.told) <= LINES_A_MESSAGE
        assert sum(len(str(line)) + 1 for line in digest.told) <= ROOM_IN_A_MESSAGE
        assert all(now - at >= MESSAGE_SECONDS for at, _ in earlier[1:2])
        assert sum(len(one.told) for at, one in earlier if at > now - HOUR_SECONDS) <= LINES_AN_HOUR

    @invariant()
    def everything_logged_is_told_or_held_back_or_waits(self) -> None:
        assert self.told + self.held_back + self.allowance.held_back + counted(self.waiting) == self.logged

    @invariant()
    def the_memory_of_what_was_told_is_bounded(self) -> None:
        assert len(self.allowance.told) <= HOUR_SECONDS / MESSAGE_SECONDS + 1


test_over_hours_a_channel_is_told_no_more_than_it_may_be_and_nothing_is_lost_uncounted = Channel.TestCase


# --- The message -----------------------------------------------------------------------------------------------------


def digest_of(*told: LogLine, held_back: int = 0) -> Digest:
    return Digest(told, held_back, Allowance())


def test_a_message_has_the_lines_and_counts_those_that_are_alike() -> None:
    report = digest_report(digest_of(line(text="1").joined(line(text="2")), line("y_failed")), "Grim", AT)
    assert report.title == "Grim: x failed, and 2 more"
    assert report.log_lines == (
        "01-01 01:02:03 warning x_failed 2 (2 times until 01:02:03)",
        "01-01 01:02:03 warning y_failed",
    )
    assert (report.tenant, report.run_id, report.ended_at) == ("Grim", 0, AT)
    assert (report.sections, report.totals, report.next_run_at) == ((), "", None)
    assert report.footer == "From the log, in UTC"
    assert (report.summary, report.log_lines_dropped) == ("", 0)


@pytest.mark.parametrize(
    ("told", "title"),
    [
        ([line("x_failed")], "Grim: x failed"),
        (
            [line("x_failed"), line("y_is_broken", level="error"), line("z", level="error")],
            "Grim: y is broken, and 2 more",
        ),
        ([line("x_failed"), line("y_died", level="fatal")], "Grim: y died, and 1 more"),
        ([replace(line("x_failed"), count=1_001)], "Grim: x failed, and 1,000 more"),
        ([line("x" * 200)], f"Grim: {'x' * 80}"),
        ([], "Grim: log lines"),
    ],
)
def test_the_title_names_the_worst_event_and_counts_the_others(told: list[LogLine], title: str) -> None:
    assert digest_report(digest_of(*told, held_back=3), "Grim", AT).title == title


def test_a_long_name_of_a_tenant_leaves_room_for_the_event() -> None:
    report = digest_report(digest_of(line()), "y" * 300, AT)
    assert (report.title, report.tenant) == (f"{'y' * 80}: x failed", "y" * 300)


def test_a_message_says_how_many_were_held_back_and_where_they_are() -> None:
    report = digest_report(digest_of(line(), held_back=1_004), "Grim", AT)
    assert report.title == "Grim: x failed"
    assert report.summary == "1,004 more were held back, as they came too fast: the journal has them."


def test_a_message_names_those_before_it_that_were_lost() -> None:
    report = digest_report(digest_of(line(), held_back=2), "Grim", AT, lost=["one was refused", "one was given up"])
    assert report.summary.split("\n") == [
        "Before this: one was refused",
        "Before this: one was given up",
        "2 more were held back, as they came too fast: the journal has them.",
    ]


@pytest.mark.parametrize(
    ("levels", "outcome"),
    [
        (["warning"], Outcome.PARTIAL),
        (["warning", "error"], Outcome.FAILED),
        (["error"], Outcome.FAILED),
        ([], Outcome.PARTIAL),
    ],
)
def test_a_message_is_coloured_by_its_worst_line(levels: list[str], outcome: Outcome) -> None:
    told = [line(level=level) for level in levels]
    assert digest_report(digest_of(*told, held_back=1), "Grim", AT).outcome is outcome


def test_no_part_of_a_line_is_longer_than_what_a_buffer_can_hold() -> None:
    assert len(log_line("warning", "x" * 10_000_000, "", AT).event) <= 200


def test_what_a_message_has_no_room_for_waits_for_the_next_one() -> None:
    waiting = tuple(line(word(number), "long " * 200) for number in range(LINES_A_MESSAGE))
    allowance, left, shown = Allowance(), waiting, ""
    while left:
        digest = next_digest(left, allowance, allowance.ready_at(BOOTED))
        assert digest is not None
        allowance, left = digest.after, left[len(digest.told) :]
        shown += str(render(digest_report(digest, "Alpha", AT)))
    assert len(allowance.told) == 3
    assert all(f" {each.event} " in shown for each in waiting)
