"""What goes to Inara and what comes back, byte for byte: every outcome, every refusal, every kind of nonsense."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.commander import Found, NotFound, Profile, RankKind, Rejected, Squadron
from inara_daemon.inara.wire import Answers, Application, Outage, Refusal, RefusalKind, Reply, decode, encode
from inara_daemon.settings import Secret

KEY = Secret("canary-key-0123456789")
APPLICATION = Application("Stage", "1.0")


def reply(document: object, count: int = 1, status: int = 200, retry_after: float | None = None) -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode(status, body, count=count, key=KEY, retry_after=retry_after)


def events(*found: object, header: object = 200) -> dict[str, Any]:
    return {"header": {"eventStatus": header}, "events": list(found)}


def event(data: object = None, *, number: object = 0, status: object = 200, text: str = "") -> dict[str, Any]:
    return {"eventStatus": status, "eventStatusText": text, "eventCustomID": number, "eventData": data}


def profile(**more: object) -> Profile:
    """The profile read from one answer with these fields."""
    answers = reply(events(event({"userName": "Nova", "userID": 7} | more)))
    assert isinstance(answers, Answers)
    outcome = answers.outcomes[0]
    assert isinstance(outcome, Found)
    return outcome.profile


# --- The request -----------------------------------------------------------------------------------------------------


def test_a_request_is_as_inara_documents_it() -> None:
    now = datetime(2026, 11, 24, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    assert json.loads(encode(APPLICATION, KEY, ["Nova", "Ζεύς"], now)) == {
        "header": {
            "appName": "Stage",
            "appVersion": "1.0",
            "isBeingDeveloped": False,
            "APIkey": "canary-key-0123456789",
        },
        "events": [
            {
                "eventName": "getCommanderProfile",
                "eventTimestamp": "2026-11-24T01:00:00Z",
                "eventCustomID": index,
                "eventData": {"searchName": name},
            }
            for index, name in enumerate(["Nova", "Ζεύς"])
        ],
    }


def test_an_empty_name_asks_for_the_profile_of_the_keys_owner() -> None:
    document = json.loads(encode(APPLICATION, KEY, [""], datetime(2026, 1, 1, tzinfo=UTC)))
    assert document["events"][0]["eventData"] == {}


@given(st.text())
def test_any_name_makes_a_request_that_is_valid_json(name: str) -> None:
    assert json.loads(encode(APPLICATION, KEY, [name], datetime(2026, 1, 1, tzinfo=UTC)))


# --- Whole replies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Too much requests, slow down.", RefusalKind.LIMITED),
        ("TOO MUCH REQUESTS", RefusalKind.LIMITED),
        ("Access temporarily revoked for 1 hour", RefusalKind.LIMITED),
        ("Invalid API key.", RefusalKind.BAD_KEY),
        ("Something, no access allowed.", RefusalKind.NOT_WHITELISTED),
        ("Your mother was a hamster", RefusalKind.UNKNOWN),
        ("", RefusalKind.UNKNOWN),
        (None, RefusalKind.UNKNOWN),
        (["Too much"], RefusalKind.UNKNOWN),
    ],
)
@pytest.mark.parametrize("more", [{}, {"events": []}, {"events": [{"eventStatus": 400}]}, {"events": None}])
def test_a_refused_batch_is_told_by_its_text(text: object, kind: RefusalKind, more: dict[str, object]) -> None:
    answer = reply({"header": {"eventStatus": 400, "eventStatusText": text}} | more)
    assert isinstance(answer, Refusal)
    assert answer.kind is kind


@pytest.mark.parametrize("code", [401, 403, 404, 429, 500, 503, 999, "403"])
def test_codes_that_nobody_ever_saw_are_unknown_refusals(code: object) -> None:
    answer = reply({"header": {"eventStatus": code, "eventStatusText": "Invalid API key"}})
    assert isinstance(answer, Refusal)
    assert answer.kind is RefusalKind.UNKNOWN


@pytest.mark.parametrize("code", [200, 202, 204, "200"])
def test_an_accepted_header_lets_its_events_speak(code: object) -> None:
    assert reply(events(event(status=204), header=code)) == Answers({0: NotFound()})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b"<html>maintenance</html>",
        b'{"header": null}',
        b'{"header": []}',
        b'{"header": {}}',
        b'{"header": {"eventStatus": null}}',
        b'{"header": {"eventStatus": true}}',
        b'{"header": {"eventStatus": -200}}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403, 404])
def test_what_is_no_answer_is_an_outage(body: bytes, status: int) -> None:
    assert isinstance(reply(body, status=status), Outage)


@pytest.mark.parametrize("status", [301, 302, 500, 502, 503, 520, 524])
def test_a_server_that_fails_is_an_outage_whatever_its_body_says(status: int) -> None:
    answer = reply(events(event({"userName": "Nova"})), status=status, retry_after=120)
    assert answer == Outage(f"HTTP {status}", 120)


def test_http_429_is_the_limit_with_the_servers_own_wait() -> None:
    assert reply(b"", status=429, retry_after=7200) == Refusal(RefusalKind.LIMITED, "HTTP 429", 7200)


def test_a_limit_told_in_an_event_is_taken_for_the_limit() -> None:
    answer = reply(events(event({"userName": "Nova"}), event(status=400, text="Too much requests", number=1)), count=2)
    assert isinstance(answer, Refusal)
    assert answer.kind is RefusalKind.LIMITED


# --- Which answer is whose -------------------------------------------------------------------------------------------


def test_answers_are_matched_by_their_id_in_whatever_order_they_come() -> None:
    answer = reply(events(event(status=204, number=1), event({"userName": "A"}, number=0)), count=2)
    assert isinstance(answer, Answers)
    assert answer.outcomes[1] == NotFound()
    assert isinstance(answer.outcomes[0], Found)


def test_an_id_may_come_as_digits() -> None:
    assert reply(events(event(status=204, number="1")), count=2) == Answers({1: NotFound()})


def test_without_ids_the_position_counts() -> None:
    answer = reply(events(event(status=204, number=None), event(status=400, number=None, text="no")), count=2)
    assert answer == Answers({0: NotFound(), 1: Rejected("no")})


def test_where_every_id_is_foreign_the_position_counts() -> None:
    answer = reply(events(event(status=204, number=1_000), event(status=400, number=-3, text="no")), count=2)
    assert answer == Answers({0: NotFound(), 1: Rejected("no")})


def test_where_some_ids_are_ours_a_foreign_one_is_nobodys() -> None:
    answer = reply(events(event(status=204, number=None), event(status=204, number=1)), count=2)
    assert answer == Answers({1: NotFound()})


def test_without_ids_a_short_reply_answers_nobody_as_its_positions_prove_nothing() -> None:
    assert reply(events(event(status=204, number=None)), count=2) == Answers({})


@pytest.mark.parametrize(
    "strange",
    [
        event(status=204, number=5),
        event({"userName": "A"}, status=300),
        event({"userName": "A"}, status=None),
        event(None),
        event([]),
        event({}),
        event({"userName": ""}),
        event({"userName": 7}),
        "text",
        None,
        [],
    ],
)
def test_what_can_not_be_read_leaves_its_name_unanswered_never_not_found(strange: object) -> None:
    assert reply(events(strange, event(status=204, number=1), event(status=204, number=2)), count=3) == Answers(
        {1: NotFound(), 2: NotFound()}
    )


@pytest.mark.parametrize("missing", [[], None, {}, "x"])
def test_a_good_reply_without_events_answers_nobody(missing: object) -> None:
    assert reply({"header": {"eventStatus": 200}, "events": missing}, count=2) == Answers({})


def test_the_first_of_two_answers_to_one_name_counts() -> None:
    assert reply(events(event(status=204), event({"userName": "A"}))) == Answers({0: NotFound()})


def test_a_names_own_error_is_that_names_only() -> None:
    answer = reply(events(event(status=400, text="Bad name"), event(status=204, number=1)), count=2)
    assert answer == Answers({0: Rejected("Bad name"), 1: NotFound()})


def test_an_inexact_answer_is_a_profile_whose_owner_is_decided_elsewhere() -> None:
    answer = reply(events(event({"userName": "Abyrvalg", "otherNamesFound": ["x"]}, status=202)))
    assert isinstance(answer, Answers)
    outcome = answer.outcomes[0]
    assert isinstance(outcome, Found)
    assert outcome.profile.commander_name == "Abyrvalg"


# --- The profile -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"commanderName": "Cmdr"}, "Cmdr"),
        ({}, "Nova"),
        ({"commanderName": None}, "Nova"),
        ({"commanderName": "  "}, "Nova"),
        ({"commanderName": 7}, "Nova"),
    ],
)
def test_the_name_is_the_commanders_else_the_users(fields: dict[str, object], name: str) -> None:
    assert profile(**fields).commander_name == name


@pytest.mark.parametrize(
    ("value", "rank"),
    [
        ("13", 13),
        (13, 13),
        ("0", 0),
        (0, 0),
        (" 7 ", 7),
        ("", None),
        (None, None),
        ("x", None),
        ("-1", None),
        (-1, None),
        (7.0, None),
        (True, None),
        ("٣", None),
        ("9" * 30, None),
        (10**30, None),
        (99, 99),
    ],
)
def test_a_rank_is_read_as_digits_or_a_number_and_zero_is_real(value: object, rank: int | None) -> None:
    ranks = profile(commanderRanksPilot=[{"rankName": "combat", "rankValue": value}]).ranks
    assert ranks == ({} if rank is None else {RankKind.COMBAT: rank})


@pytest.mark.parametrize("name", ["exploration", "explore", "Exploration", " EXPLORE "])
def test_exploration_has_two_spellings(name: str) -> None:
    ranks = profile(commanderRanksPilot=[{"rankName": name, "rankValue": "3"}]).ranks
    assert ranks == {RankKind.EXPLORATION: 3}


@pytest.mark.parametrize("ranks", [None, [], {}, "x", [None], [7], [{}], [{"rankName": "golf", "rankValue": "1"}]])
def test_ranks_that_are_missing_or_nonsense_are_unknown(ranks: object) -> None:
    assert profile(commanderRanksPilot=ranks).ranks == {}


@pytest.mark.parametrize(
    "squadron",
    [
        {"squadronName": "Grim's Squad", "squadronMemberRank": "Recruit"},
        {"SquadronName": "Grim's Squad", "SquadronMemberRank": "Recruit"},
        {"SQUADRONNAME": " Grim's Squad ", "squadronmemberrank": "Recruit\n"},
    ],
)
def test_a_squadron_is_read_whatever_the_case_of_its_keys(squadron: dict[str, str]) -> None:
    assert profile(commanderSquadron=squadron).squadron == Squadron("Grim's Squad", "Recruit")


@pytest.mark.parametrize(
    ("fields", "absent"),
    [
        ({}, True),
        ({"commanderSquadron": None}, True),
        ({"commanderSquadron": {}}, False),
        ({"commanderSquadron": []}, False),
    ],
)
def test_a_squadron_that_is_missing_or_null_is_absent_nonsense_is_not(fields: dict[str, object], absent: bool) -> None:
    found = profile(**fields)
    assert found.squadron is None
    assert found.squadron_absent is absent


def test_texts_are_cut_to_their_columns_and_cleared_of_what_no_database_bears() -> None:
    found = profile(
        preferredPowerName="P\x00ower" + "x" * 100,
        inaraURL="https://inara.cz/elite/cmdr/1/",
        commanderSquadron={"squadronName": "S" * 200, "squadronMemberRank": "\x1b[31mR" * 40},
    )
    assert found.power == ("Power" + "x" * 100)[:64]
    assert found.squadron is not None
    assert len(found.squadron.name) == 128
    assert len(found.squadron.rank or "") == 64
    assert "\x1b" not in (found.squadron.rank or "")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "ftp://x", "", 7, None, "//inara.cz/x"])
def test_an_address_that_is_no_web_address_is_dropped(url: object) -> None:
    assert profile(inaraURL=url).inara_url is None


@pytest.mark.parametrize(("value", "user_id"), [(7, 7), ("7", 7), (0, None), (None, None), ("x", None), (-3, None)])
def test_the_account_is_its_number(value: object, user_id: int | None) -> None:
    assert profile(userID=value).user_id == user_id


# --- Text from outside -----------------------------------------------------------------------------------------------


def test_secrets_an_echoed_key_reaches_no_text() -> None:
    for answer in (
        reply({"header": {"eventStatus": 400, "eventStatusText": f"Invalid API key {KEY.reveal()} given"}}),
        reply(events(event(status=400, text=f"key {KEY.reveal()}"))),
    ):
        assert KEY.reveal() not in repr(answer)
        assert "***" in repr(answer)


def test_text_from_outside_is_one_bounded_line() -> None:
    answer = reply({"header": {"eventStatus": 400, "eventStatusText": "a\nb\r\x1b[31mc" + "x" * 9_999}})
    assert isinstance(answer, Refusal)
    assert answer.text.isprintable()
    assert len(answer.text) <= 200


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_field = st.sampled_from(
    [
        "commanderName",
        "userName",
        "userID",
        "commanderRanksPilot",
        "commanderSquadron",
        "preferredPowerName",
        "inaraURL",
    ]
)


@given(
    status=st.sampled_from([200, 400, 403, 500]),
    header=st.fixed_dictionaries({}, optional={"eventStatus": _json, "eventStatusText": _json}) | _json,
    data=st.dictionaries(_field, _json) | _json,
    code=st.sampled_from([200, 202, 204, 400, "200", None]) | _json,
    number=_json,
)
def test_no_reply_whatsoever_raises(status: int, header: Any, data: Any, code: Any, number: Any) -> None:
    found = event(data, number=number, status=code)
    for document in ({"header": header, "events": [found]}, events(found), events(data), data):
        assert isinstance(reply(document, status=status), Answers | Refusal | Outage)


@given(st.binary())
def test_no_bytes_whatsoever_raise(body: bytes) -> None:
    assert isinstance(reply(body), Answers | Refusal | Outage)
