"""Why a commander is, or is not, asked for: the sentences, one for every reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inara_daemon.cli.why import STANDINGS, held_until, ordinal, place_in_words, reason_in_words, request_of
from inara_daemon.commander import Record, Standing
from inara_daemon.inara.pauses import Pause
from inara_daemon.night import Pace
from inara_daemon.roster_plan import PARTS, Part, Plan, Reason

NOW = datetime(2027, 1, 1, 1, tzinfo=UTC)
DUE = datetime(2027, 1, 3, 1, 5, tzinfo=UTC)
PACE = Pace(batch_size=30, interval=31.0, night_minutes=360)
NAMES = tuple(f"n{number}" for number in range(1, 313))


def record(standing: Standing | None) -> Record:
    return Record(standing, 7, NOW, misses=2, due_at=DUE)


@pytest.mark.parametrize(
    ("reason", "standing", "words"),
    [
        (Reason.NEVER_ASKED, None, "due, with the first: it was never asked for"),
        (Reason.NEWS, Standing.FOUND, "due: it has new events since its last answer"),
        (Reason.NEWS, Standing.NOT_FOUND, "due: it has new events since its last answer; its wait is over"),
        (Reason.STALEST, Standing.FOUND, "due: a full run asks everyone, the stalest first"),
        (Reason.STALEST, Standing.UNANSWERED, "due: a full run asks everyone, the stalest first"),
        (Reason.STALEST, Standing.AMBIGUOUS, "due: a full run asks everyone, the stalest first; its wait is over"),
        (
            Reason.TRIED_ALONE,
            Standing.SET_ASIDE,
            "due, in a request of its own: it was set aside, and its wait is over",
        ),
        (
            Reason.BACKING_OFF,
            Standing.NOT_FOUND,
            "not due before 2027-01-02 19:05 UTC, as Inara does not know it; until then it only fills a free slot",
        ),
        (
            Reason.BACKING_OFF,
            Standing.AMBIGUOUS,
            "not due before 2027-01-02 19:05 UTC, as it is ambiguous on Inara; until then it only fills a free slot",
        ),
        (
            Reason.BACKING_OFF,
            Standing.REJECTED,
            "not due before 2027-01-02 19:05 UTC, as Inara refuses it; until then it only fills a free slot",
        ),
        (
            Reason.SET_ASIDE,
            Standing.SET_ASIDE,
            "not due before 2027-01-02 19:05 UTC, as it is set aside; then it is tried in a request of its own",
        ),
        (Reason.ANSWERED, Standing.FOUND, "not due: it was answered in the run under way"),
        (Reason.NO_EVENT, Standing.FOUND, "not asked: no event carries it any more"),
        (Reason.TOO_LONG, None, "never asked: the name is longer than 64 characters"),
    ],
)
def test_every_reason_is_a_plain_sentence(reason: Reason, standing: Standing | None, words: str) -> None:
    assert reason_in_words(reason, record(standing)) == words


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("standing", [None, *Standing])
def test_only_what_a_run_asks_for_is_called_due(reason: Reason, standing: Standing | None) -> None:
    said = reason_in_words(reason, record(standing))
    assert said.startswith("due") is (PARTS[reason] in {Part.WANTED, Part.ALONE})
    assert "{" not in said


def test_every_standing_has_its_words() -> None:
    assert set(STANDINGS) == {None, *Standing}
    assert len(set(STANDINGS.values())) == len(STANDINGS)


@pytest.mark.parametrize(
    ("key", "request_number", "words"),
    [
        ("n1", 1, "1st of 312, so in the 1st of about 11 requests"),
        ("n30", 1, "30th of 312, so in the 1st of about 11 requests"),
        ("n31", 2, "31st of 312, so in the 2nd of about 11 requests"),
        ("n312", 11, "312th of 312, so in the 11th of about 11 requests"),
    ],
)
def test_a_place_names_the_request_that_it_leaves_with(key: str, request_number: int, words: str) -> None:
    plan = Plan(NAMES, ("f", "g"), ("p",))
    assert request_of(key, plan, PACE) == request_number
    assert place_in_words(key, Reason.NEWS, plan, PACE, has_neighbours=False) == words
    turns = f"{words}, not counting other tenants' turns"
    assert place_in_words(key, Reason.NEWS, plan, PACE, has_neighbours=True) == turns


@pytest.mark.parametrize(
    ("key", "reason", "words"),
    [
        ("g", Reason.BACKING_OFF, "none of its own: 2nd of 2 for free slots"),
        ("p", Reason.TRIED_ALONE, "a request of its own"),
        ("x", Reason.SET_ASIDE, "none"),
        ("x", Reason.NO_EVENT, "none"),
        ("n1", Reason.STALEST, "1st of 1, so in the 1st of about 1 request"),
    ],
)
def test_who_shares_no_request_has_no_place_in_one(key: str, reason: Reason, words: str) -> None:
    assert place_in_words(key, reason, Plan(("n1",), ("f", "g"), ("p",)), PACE, has_neighbours=False) == words


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (10, "10th"), (11, "11th"), (12, "12th"), (13, "13th")),
        *((21, "21st"), (22, "22nd"), (100, "100th"), (101, "101st"), (111, "111th"), (1_012, "1,012th")),
    ],
)
def test_a_rank_is_written_as_people_do(number: int, text: str) -> None:
    assert ordinal(number) == text


def test_a_pause_says_how_long_it_holds() -> None:
    pause = Pause("*", "limited", "x", "boot", 100.0, 3_600.0)
    assert held_until(pause, 600.0, NOW) == "until 2027-01-01 01:10 UTC"
    assert held_until(Pause("k", "bad_key", "x", "boot", None, None), float("inf"), NOW) == "until the key changes"
