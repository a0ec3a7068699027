from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.cron import cron_expression
from inara_daemon.problems import Refused

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0 1 * * *", "0 1 * * *"),
        ("  0   1\t* * * ", "0 1 * * *"),
        ("*/15 0-6,22,23 1-10/3 jan,mar-may SUN", "*/15 0-6,22,23 1-10/3 jan,mar-may sun"),
        ("5/10 1 * * mon-fri", "5/10 1 * * mon-fri"),
        ("0 1 last * *", "0 1 last * *"),
        ("0 1 29 2 *", "0 1 29 2 *"),
        ("0 1 30 2,3 *", "0 1 30 2,3 *"),
        ("59 23 31 12 sat,sun", "59 23 31 12 sat,sun"),
    ],
)
def test_a_good_expression_is_read_as_the_scheduler_reads_it(written: str, read: str) -> None:
    assert cron_expression(written) == read
    assert CronTrigger.from_crontab(read, timezone=UTC).get_next_fire_time(None, NOW) is not None


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("", "has 5 fields, this one has 0"),
        ("0 1 * *", "has 5 fields, this one has 4"),
        ("0 0 1 * * *", "has 5 fields, this one has 6"),
        ("@daily", "has 5 fields, this one has 1"),
        ("0 1 * * 0", "the weekday is a number"),
        ("0 1 * * 1-5", "the weekday is a number"),
        ("0 1 * * */2", "the weekday is a number"),
        ("0 1 * * sunday", "the weekday field has an unknown name"),
        ("0 1 * * fri-mon", "the weekday field has a range that ends before it begins"),
        ("0 1 * * mon#x", "the weekday field can't be read"),
        ("60 1 * * *", "the minute field must be 0 to 59"),
        ("0 24 * * *", "the hour field must be 0 to 23"),
        ("0 1 0 * *", "the day of month field must be 1 to 31"),
        ("0 1 32 * *", "the day of month field must be 1 to 31"),
        ("0 1 * 13 *", "the month field must be 1 to 12"),
        ("0 1 * june *", "the month field has an unknown name"),
        ("0 1 * jan-mar/2 *", "the month field has a step after names"),
        ("0 1am * * *", "the hour field can't be read"),
        ("0 noon * * *", "the hour field has an unknown name"),
        ("*/0 1 * * *", "the minute field has a step that is 0 or leaves its range"),
        ("*/60 1 * * *", "the minute field has a step that is 0 or leaves its range"),
        ("10-15/6 1 * * *", "the minute field has a step that is 0 or leaves its range"),
        ("20-10 1 * * *", "the minute field has a range that ends before it begins"),
        ("0, 1 * * *", "the minute field can't be read"),
        ("-5 1 * * *", "the minute field can't be read"),
        ("1.5 1 * * *", "the minute field can't be read"),
        ("٣ 1 * * *", "the minute field can't be read"),
        ("0 1 l * *", "the day of month field has an unknown name"),
        ("0 1 30 2 *", "the schedule never comes"),
        ("0 1 31 feb,apr,jun,sep,nov *", "the schedule never comes"),
    ],
)
def test_a_bad_expression_is_refused_with_its_reason(written: str, what: str) -> None:
    with pytest.raises(Refused) as caught:
        cron_expression(written)
    assert what in caught.value.what
    assert caught.value.hint


def test_a_number_as_weekday_is_told_to_be_a_name() -> None:
    with pytest.raises(Refused) as caught:
        cron_expression("0 1 * * 0")
    assert "0 means Monday here but Sunday in cron" in caught.value.what
    assert caught.value.hint == "use names: sun, mon-fri"


numbers = st.integers(0, 70).map(str)
parts = st.one_of(
    st.just("*"),
    numbers,
    st.tuples(numbers, numbers).map("-".join),
    st.tuples(st.one_of(st.just("*"), numbers), numbers).map("/".join),
    st.tuples(numbers, numbers, numbers).map(lambda t: f"{t[0]}-{t[1]}/{t[2]}"),
    st.sampled_from(["last", "jan", "feb-apr", "mon", "sat-sun", "2nd", "dec-jan", "mon/2"]),
)
fields = st.lists(parts, min_size=1, max_size=3).map(",".join)
expressions = st.lists(fields, min_size=5, max_size=5).map(" ".join)


@given(expressions)
def test_what_is_accepted_the_scheduler_accepts_and_reaches(expression: str) -> None:
    try:
        accepted = cron_expression(expression)
    except Refused:
        return
    assert CronTrigger.from_crontab(accepted, timezone=UTC).get_next_fire_time(None, NOW) is not None


@given(st.text(max_size=40))
def test_no_text_does_anything_but_pass_or_be_refused(text: str) -> None:
    with suppress(Refused):
        cron_expression(text)
