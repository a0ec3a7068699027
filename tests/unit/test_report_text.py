"""A run in words: what matters first, who is unknown, what went wrong, and what it took."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inara_daemon.change_words import words
from inara_daemon.commander import Change, ChangeKind, RankKind
from inara_daemon.problem_memory import Problem, ProblemNews
from inara_daemon.report import Entry, Outcome, Report, Section
from inara_daemon.report_text import build, counted
from inara_daemon.run_facts import CommanderChange, RunFacts, Totals
from tests.quiet_run import ALL_WELL, NOW, PAGE, changed, facts, met, promoted

COMBAT, TRADE, EMPIRE, FEDERATION = RankKind.COMBAT, RankKind.TRADE, RankKind.EMPIRE, RankKind.FEDERATION
NOBODY = Totals(names=3, answered=0, written=0, not_found=0, ambiguous=0, failed=0, requests=0)
BUG = Problem("bug", "boom")
FRESH_BUG = frozenset({"bug"})
NEW = Change(ChangeKind.NEW, new="Nova")
ONE_OF_EACH = {
    ChangeKind.NEW: NEW,
    ChangeKind.PROMOTED: Change(ChangeKind.PROMOTED, "7", "8", COMBAT),
    ChangeKind.SQUADRON_JOINED: Change(ChangeKind.SQUADRON_JOINED, None, "Grim"),
    ChangeKind.SQUADRON_MOVED: Change(ChangeKind.SQUADRON_MOVED, "Dawn", "Grim"),
    ChangeKind.SQUADRON_LEFT: Change(ChangeKind.SQUADRON_LEFT, "Grim"),
    ChangeKind.SQUADRON_RANK: Change(ChangeKind.SQUADRON_RANK, "Recruit", "Officer"),
    ChangeKind.POWER: Change(ChangeKind.POWER, None, "Aisling Duval"),
    ChangeKind.RENAMED: Change(ChangeKind.RENAMED, "Nova", "Vega"),
    ChangeKind.OTHER_ACCOUNT: Change(ChangeKind.OTHER_ACCOUNT, "7", "9"),
    ChangeKind.DEMOTED: Change(ChangeKind.DEMOTED, "8", "7", COMBAT),
    ChangeKind.RANK_LEARNED: Change(ChangeKind.RANK_LEARNED, None, "0", TRADE),
}
TITLES = {
    ChangeKind.NEW: "New commanders (1)",
    ChangeKind.PROMOTED: "Promotions (1)",
    ChangeKind.SQUADRON_JOINED: "Squadrons (1)",
    ChangeKind.SQUADRON_MOVED: "Squadrons (1)",
    ChangeKind.SQUADRON_LEFT: "Squadrons (1)",
    ChangeKind.SQUADRON_RANK: "Squadrons (1)",
    ChangeKind.POWER: "Powers (1)",
    ChangeKind.RENAMED: "Names and accounts (1)",
    ChangeKind.OTHER_ACCOUNT: "Names and accounts (1)",
    ChangeKind.DEMOTED: "Other changes (1)",
    ChangeKind.RANK_LEARNED: "Other changes (1)",
}


def told(report: Report) -> dict[str, list[tuple[str | None, str]]]:
    return {section.title: [(entry.name, entry.text) for entry in section.entries] for section in report.sections}


def headline(**more: Any) -> str:
    return build(facts(**more)).title.removeprefix("Grim's Squad: ")


def section(run: RunFacts, title: str) -> Section:
    (found,) = [section for section in build(run).sections if section.title.startswith(title)]
    return found


# --- The order -------------------------------------------------------------------------------------------------------

PROBLEM_TITLES = {
    "bug": "A bug in the daemon",
    "bad_key": "Inara key refused",
    "not_whitelisted": "Application not white-listed by Inara",
    "limited": "Inara asked to wait",
    "outage": "Inara was away",
    "unknown_refusal": "Refused for an unknown reason",
    "state": "The daemon's own database",
    "incomplete": "Not everyone was covered",
    "name_rejected": "Names that Inara refuses",
    "name_set_aside": "Names that make Inara refuse a whole request",
    "name_unanswered": "Names that Inara did not answer",
    "name_too_long": "Names too long for the table",
    "disk_full": "Disk full",
}


def test_sections_come_in_the_order_of_what_matters() -> None:
    kinds = list(PROBLEM_TITLES)
    run = facts(
        changes=tuple(changed("Nova", change) for change in reversed(ONE_OF_EACH.values())),
        not_found=("Vega",),
        ambiguous=("Exiton",),
        problems=tuple(Problem(kind, "so it was") for kind in (*reversed(kinds), "timeout")),
        news=ProblemNews(fresh=frozenset(kinds), unchanged={"timeout": NOW}, over={"locked": NOW}),
        undelivered=("report of run 6: expired",),
    )
    assert list(told(build(run))) == [
        "New commanders (1)",
        "Promotions (1)",
        "Squadrons (1)",
        "Powers (1)",
        "Names and accounts (1)",
        "Other changes (1)",
        "Not found on Inara (1)",
        "Ambiguous on Inara (1)",
        *(f"{title} (1)" for title in PROBLEM_TITLES.values()),
        "No longer a problem",
        "As before (told again once a week)",
        "Earlier messages that did not arrive",
    ]


def test_a_run_that_changed_nothing_has_no_sections() -> None:
    assert build(facts()).sections == ()
    assert build(facts(first=True)).sections == ()


@given(st.booleans(), st.lists(st.sampled_from(ChangeKind)), st.integers(0, 30), st.integers(0, 30))
def test_no_section_is_empty_and_entries_with_omitted_are_all_of_a_kind(
    first: bool,
    kinds: list[ChangeKind],
    unknown: int,
    problems: int,
) -> None:
    run = met(
        *[Problem("name_rejected", "", f"P{number}") for number in range(problems)],
        first=first,
        changes=tuple(changed(f"C{number}", ONE_OF_EACH[kind]) for number, kind in enumerate(kinds)),
        not_found=tuple(f"N{number}" for number in range(unknown)),
        ambiguous=tuple(f"A{number}" for number in range(unknown)),
    )
    sections = build(run).sections
    assert all(section.entries for section in sections)
    shown = sum(len(section.entries) + section.omitted for section in sections)
    assert shown == len(kinds) + 2 * unknown + problems


# --- At the top ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        ({}, "nothing changed"),
        ({"changes": [NEW]}, "1 new commander"),
        ({"changes": [NEW] * 1_200}, "1,200 new commanders"),
        (
            {"changes": list(reversed(ONE_OF_EACH.values()))},
            (
                "1 new commander, 1 promoted, 4 squadron changes, 1 power change, 1 renamed, 1 other account, "
                "2 other changes"
            ),
        ),
        ({"changes": [ONE_OF_EACH[ChangeKind.PROMOTED]] * 2}, "2 promoted"),
        ({"changes": [ONE_OF_EACH[ChangeKind.SQUADRON_LEFT]]}, "1 squadron change"),
        ({"changes": [ONE_OF_EACH[ChangeKind.POWER]] * 2}, "2 power changes"),
        ({"changes": [ONE_OF_EACH[ChangeKind.RENAMED]] * 2}, "2 renamed"),
        ({"changes": [ONE_OF_EACH[ChangeKind.OTHER_ACCOUNT]] * 2}, "2 other accounts"),
        ({"changes": [ONE_OF_EACH[ChangeKind.DEMOTED]]}, "1 other change"),
        ({"problems": [BUG]}, "1 problem"),
        ({"problems": [BUG, BUG, Problem("outage", "away")], "changes": [NEW]}, "1 new commander, 2 problems"),
        ({"problems": [BUG], "news": ProblemNews(reminded={"bug": NOW})}, "1 problem"),
        ({"problems": [BUG], "news": ProblemNews(unchanged={"bug": NOW})}, "nothing changed"),
        ({"news": ProblemNews(over={"bug": NOW})}, "1 problem solved"),
        ({"news": ProblemNews(over={"bug": NOW, "outage": NOW})}, "2 problems solved"),
        ({"problems": [BUG], "news": ProblemNews(FRESH_BUG, over={"outage": NOW})}, "1 problem, 1 problem solved"),
        ({"first": True}, "nothing changed"),
        ({"first": True, "changes": [NEW] * 3}, "first look at 3 commanders"),
        ({"first": True, "changes": [NEW], "problems": [BUG]}, "first look at 3 commanders, 1 problem"),
        ({"totals": NOBODY, "complete": False}, "the roster could not be brought up to date"),
        ({"totals": NOBODY, "complete": False, "problems": [BUG]}, "the roster could not be brought up to date"),
        ({"totals": NOBODY, "complete": False, "changes": [NEW], "problems": [BUG]}, "1 new commander, 1 problem"),
        ({"totals": NOBODY, "problems": [BUG]}, "1 problem"),
        ({"totals": NOBODY, "problems": [BUG], "changes": [NEW]}, "1 new commander, 1 problem"),
        ({"complete": False}, "nothing changed"),
    ],
)
def test_the_headline_says_what_happened(happened: dict[str, Any], said: str) -> None:
    changes = tuple(changed(f"C{number}", change) for number, change in enumerate(happened.get("changes", ())))
    problems = tuple(happened.get("problems", ()))
    news = ProblemNews(fresh=frozenset(problem.kind for problem in problems))
    assert headline(**{"news": news} | happened | {"changes": changes, "problems": problems}) == said


def test_the_headline_counts_commanders_and_not_their_changes() -> None:
    moved = (changed("Vega", ONE_OF_EACH[ChangeKind.SQUADRON_LEFT]), changed("Vega", NEW))
    changes = (promoted("Nova", 3), promoted("Nova", 8, TRADE), promoted("Vega", 2), *moved)
    assert headline(changes=changes) == "1 new commander, 2 promoted, 1 squadron change"


def test_a_long_name_of_a_tenant_leaves_room_for_what_happened() -> None:
    assert build(facts(tenant="x" * 80)).title == f"{'x' * 80}: nothing changed"
    assert build(facts(tenant="x" * 81)).title == f"{'x' * 79}…: nothing changed"
    assert build(facts(tenant="x" * 81)).tenant == "x" * 81


FRESH = ProblemNews(FRESH_BUG)
REMINDED = ProblemNews(reminded={"bug": NOW})
UNCHANGED = ProblemNews(unchanged={"bug": NOW})
ALL_STAYS = "Not everyone could be looked up. What is known of the others stays as it was."
NOBODY_LOOKED_UP = "Nobody could be looked up. What is known of the commanders stays as it was."


@pytest.mark.parametrize(
    ("totals", "complete", "news", "outcome", "lead"),
    [
        (ALL_WELL, True, ProblemNews(), Outcome.GOOD, ""),
        (ALL_WELL, True, UNCHANGED, Outcome.GOOD, ""),
        (ALL_WELL, True, ProblemNews(over={"bug": NOW}), Outcome.GOOD, ""),
        (ALL_WELL, True, FRESH, Outcome.PARTIAL, ""),
        (ALL_WELL, True, REMINDED, Outcome.PARTIAL, ""),
        (ALL_WELL, False, ProblemNews(), Outcome.PARTIAL, ALL_STAYS),
        (ALL_WELL, False, FRESH, Outcome.PARTIAL, ALL_STAYS),
        (ALL_WELL, False, UNCHANGED, Outcome.PARTIAL, ALL_STAYS),
        (NOBODY, True, ProblemNews(), Outcome.GOOD, ""),
        (NOBODY, True, FRESH, Outcome.PARTIAL, ""),
        (NOBODY, True, REMINDED, Outcome.PARTIAL, ""),
        (NOBODY, False, FRESH, Outcome.FAILED, NOBODY_LOOKED_UP),
        (NOBODY, False, UNCHANGED, Outcome.FAILED, NOBODY_LOOKED_UP),
    ],
)
def test_how_it_went_at_a_glance(
    totals: Totals, news: ProblemNews, outcome: Outcome, lead: str, *, complete: bool
) -> None:
    report = build(facts(totals=totals, complete=complete, problems=(BUG,), news=news))
    assert (report.outcome, report.summary) == (outcome, lead)


@pytest.mark.parametrize(
    ("reason", "footer"),
    [
        ("first", "Run 7, the first"),
        ("cron", "Run 7, scheduled"),
        ("catch-up", "Run 7, for one that was missed"),
        ("request", "Run 7, asked for"),
        ("reload", "Run 7, after a change of the configuration"),
        ("whim", "Run 7, whim"),
    ],
)
def test_the_footer_says_why_there_was_a_run(reason: str, footer: str) -> None:
    assert build(facts(reason=reason)).footer == footer


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (NOBODY, "0 of 3 commanders looked up, 0 changed\n0 requests to Inara in 62 s"),
        (Totals(1, 1, 0, 0, 0, 0, 1), "1 of 1 commander looked up, 0 changed\n1 request to Inara in 62 s"),
        (
            Totals(names=30, answered=29, written=4, not_found=3, ambiguous=2, failed=1, requests=2),
            """29 of 30 commanders looked up, 4 changed, 3 not found, 2 ambiguous, 1 failed
2 requests to Inara in 62 s""",
        ),
        (
            Totals(names=100_000, answered=52_000, written=1_234, not_found=0, ambiguous=0, failed=0, requests=1_734),
            "52,000 of 100,000 commanders looked up, 1,234 changed\n1,734 requests to Inara in 62 s",
        ),
    ],
)
def test_the_totals_in_words(totals: Totals, said: str) -> None:
    assert build(facts(totals=totals)).totals == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3_600, "0 s"),
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (7_100, "118 min"),
        (7_200, "2 h 00 min"),
        (7_500, "2 h 05 min"),
        (21_600, "6 h 00 min"),
    ],
)
def test_how_long_it_took_in_words(seconds: float, said: str) -> None:
    assert build(facts(ended_at=NOW + timedelta(seconds=seconds))).totals.endswith(f" to Inara in {said}")


@pytest.mark.parametrize(("count", "said"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (1_000, "1,000 runs")])
def test_things_are_counted_as_people_do(count: int, said: str) -> None:
    assert counted(count, "run") == said
    assert counted(count, "run", "runs") == said


def test_what_a_channel_needs_besides_comes_through_unchanged() -> None:
    run = facts(log_lines=("warning x_failed",), log_lines_dropped=3)
    report = build(run)
    assert (report.tenant, report.run_id) == ("Grim's Squad", 7)
    assert (report.next_run_at, report.ended_at) == (run.next_run_at, run.ended_at)
    assert (report.log_lines, report.log_lines_dropped) == (("warning x_failed",), 3)


# --- What changed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ChangeKind)
def test_every_kind_of_change_has_a_section_and_words(kind: ChangeKind) -> None:
    change = ONE_OF_EACH[kind]
    said = "" if kind is ChangeKind.NEW else words(change)
    assert told(build(facts(changes=(changed("*Nova*", change),)))) == {TITLES[kind]: [("*Nova*", said)]}


def test_promotions_are_told_the_highest_first_and_elite_is_above_every_rank_of_a_navy() -> None:
    run = facts(
        changes=(
            promoted("Nova", 3),
            promoted("King", 14, EMPIRE),
            promoted("Vega", 13),
            promoted("Beyond", 20, FEDERATION),
            promoted("Lyra", 8),
            promoted("Nova", 9, TRADE),
            promoted("Serf", 2, EMPIRE),
        )
    )
    assert told(build(run)) == {
        "Promotions (6)": [
            ("Vega", "Combat: Elite IV → Elite V"),
            ("Nova", "Trade: Elite → Elite I; Combat: Novice → Competent"),
            ("Lyra", "Combat: Deadly → Elite"),
            ("Beyond", "Federation: rank 19 → rank 20"),
            ("King", "Empire: Prince → King"),
            ("Serf", "Empire: Outsider → Serf"),
        ]
    }


def test_a_promotion_of_an_unknown_rank_does_not_break_the_order() -> None:
    unknown = changed("Nova", Change(ChangeKind.PROMOTED, "0", None, COMBAT))
    bare = changed("Lyra", Change(ChangeKind.PROMOTED, "1", "2"))
    assert [name for name, _ in told(build(facts(changes=(unknown, bare, promoted("Vega", 8)))))["Promotions (3)"]] == [
        "Vega",
        "Nova",
        "Lyra",
    ]


def test_a_commander_has_one_line_in_a_section_whose_title_counts_commanders() -> None:
    changes = (ONE_OF_EACH[ChangeKind.SQUADRON_LEFT], ONE_OF_EACH[ChangeKind.SQUADRON_JOINED])
    run = facts(changes=(changed("Nova", changes[0]), changed("Vega", changes[0]), changed("Nova", changes[1])))
    assert told(build(run)) == {"Squadrons (2)": [("Nova", "left Grim; joined Grim"), ("Vega", "left Grim")]}


def test_many_ranks_of_one_commander_that_were_unknown_are_counted() -> None:
    learned = [changed("Nova", Change(ChangeKind.RANK_LEARNED, None, "3", ladder)) for ladder in RankKind]
    demoted = changed("Nova", ONE_OF_EACH[ChangeKind.DEMOTED])
    assert told(build(facts(changes=(*learned, demoted)))) == {
        "Other changes (1)": [("Nova", "Combat: Elite → Deadly; 8 ranks first seen")]
    }


def test_an_entry_links_to_the_page_that_the_commander_had_last() -> None:
    urls = (None, "https://inara.cz/elite/cmdr/1/", PAGE)
    (found,) = build(facts(changes=tuple(changed("Nova", NEW, url) for url in urls))).sections
    assert [entry.url for entry in found.entries] == [PAGE]


def test_a_first_report_tells_the_ten_most_notable_and_names_twenty_who_are_new() -> None:
    new = [changed(f"New {number}", NEW) for number in range(23)]
    learned = [changed(f"Lyra {number}", ONE_OF_EACH[ChangeKind.RANK_LEARNED]) for number in range(10)]
    power = changed("Nova", ONE_OF_EACH[ChangeKind.POWER])
    run = facts(first=True, changes=(*learned, *new, power, promoted("Nova", 3), promoted("Vega", 8)))
    assert told(build(run)) == {
        "Most notable": [
            ("Vega", "Combat: Deadly → Elite"),
            ("Nova", "Combat: Novice → Competent; Power: Aisling Duval"),
            *((f"Lyra {number}", "Trade: Penniless (first seen)") for number in range(8)),
        ],
        "New commanders (23)": [(f"New {number}", "") for number in range(20)],
    }
    assert [section.omitted for section in build(run).sections] == [2, 3]
    assert build(run).summary == "Everything is new to this report, so only the most notable is told."
    assert build(facts(first=True)).summary == ""


def test_of_the_most_notable_the_highest_come_first_and_elite_before_every_rank_of_a_navy() -> None:
    run = facts(
        first=True,
        changes=(
            changed("Rigel", ONE_OF_EACH[ChangeKind.RANK_LEARNED]),
            changed("Atair", ONE_OF_EACH[ChangeKind.SQUADRON_JOINED]),
            promoted("King", 14, EMPIRE),
            promoted("Nova", 3),
            promoted("Vega", 8),
            changed("Lyra", Change(ChangeKind.RANK_LEARNED, None, "9", COMBAT)),
        ),
    )
    (found,) = build(run).sections
    assert [entry.name for entry in found.entries] == ["Vega", "King", "Nova", "Atair", "Lyra", "Rigel"]


@given(st.randoms(use_true_random=False))
def test_in_a_first_report_the_most_notable_kinds_come_first(dice: random.Random) -> None:
    kinds = [kind for kind in ChangeKind if kind is not ChangeKind.NEW]
    dealt = dice.sample(kinds, len(kinds))
    run = facts(first=True, changes=tuple(CommanderChange(kind.value, None, ONE_OF_EACH[kind]) for kind in dealt))
    (found,) = build(run).sections
    assert [entry.name for entry in found.entries] == [kind.value for kind in kinds]


# --- Who is unknown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "title"), [("not_found", "Not found"), ("ambiguous", "Ambiguous")])
@pytest.mark.parametrize(("count", "named", "omitted"), [(1, 1, 0), (20, 20, 0), (21, 20, 1), (1_500, 20, 1_480)])
def test_the_unknown_are_named_in_their_order_up_to_twenty(
    field: str, title: str, count: int, named: int, omitted: int
) -> None:
    names = tuple(f"_Lyra_ {number}" for number in range(count, 0, -1))
    found = section(facts(**{field: names}), title)
    assert found.title == f"{title} on Inara ({count:,})"
    assert found.entries == tuple(Entry("", name) for name in names[:named])
    assert found.omitted == omitted
    assert found.hint


# --- What went wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "title"), PROBLEM_TITLES.items())
def test_a_problem_is_told_under_a_title_that_people_understand(kind: str, title: str) -> None:
    assert told(build(met(Problem(kind, "so it was")))) == {f"{title} (1)": [(None, "so it was")]}


@pytest.mark.parametrize(("count", "named", "omitted"), [(1, 1, 0), (5, 5, 0), (6, 5, 1), (1_000, 5, 995)])
def test_problems_are_grouped_by_kind_with_a_count_and_five_examples(count: int, named: int, omitted: int) -> None:
    rejected = [Problem("name_rejected", f"text {number}", f"Nova {number}") for number in range(count)]
    report = build(met(*rejected[:2], Problem("outage", "HTTP 503"), *rejected[2:]))
    outage, rejections = report.sections
    assert rejections.title == f"Names that Inara refuses ({count:,})"
    assert rejections.entries == tuple(Entry(f"text {number}", f"Nova {number}") for number in range(named))
    assert rejections.omitted == omitted
    assert outage == Section("Inara was away (1)", (Entry("HTTP 503"),))


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("bad_key", "Make a new key on Inara and put it into tenant.json."),
        ("not_whitelisted", "Only the operator of this daemon can do something about it."),
        ("name_rejected", "They are asked again by themselves, less and less often."),
        ("name_set_aside", "They are left out, so that nobody else is refused, and tried again by themselves."),
        ("name_unanswered", "They are asked again in the next run."),
        ("name_too_long", "Names have 64 characters at most. Nobody of that name can be on Inara."),
        ("bug", ""),
    ],
)
def test_a_problem_says_what_to_do_about_it(kind: str, hint: str) -> None:
    (found,) = build(met(Problem(kind, "so it was"))).sections
    assert found.hint == hint


def day(month: int, number: int) -> datetime:
    return NOW.replace(month=month, day=number)


def test_a_problem_that_is_still_there_after_a_week_is_told_in_full_with_its_beginning() -> None:
    run = facts(problems=(BUG, BUG), news=ProblemNews(reminded={"bug": day(3, 5)}))
    assert told(build(run)) == {"A bug in the daemon (2), still there since 5 Mar 2027": [(None, "boom")] * 2}


def test_a_problem_that_does_not_change_is_one_line_with_its_count() -> None:
    problems = (BUG, *(Problem("name_rejected", "", f"Nova {number}") for number in range(1_200)))
    news = ProblemNews(unchanged={"bug": day(12, 31), "name_rejected": day(3, 5)})
    assert told(build(facts(problems=problems, news=news))) == {
        "As before (told again once a week)": [
            (None, "A bug in the daemon: 1, since 31 Dec 2027"),
            (None, "Names that Inara refuses: 1,200, since 5 Mar 2027"),
        ]
    }


def test_a_problem_that_is_over_is_named_with_its_beginning() -> None:
    news = ProblemNews(over={"bad_key": day(2, 28), "disk_full": day(3, 1)})
    assert told(build(facts(news=news))) == {
        "No longer a problem": [(None, "Inara key refused (since 28 Feb 2027)"), (None, "Disk full (since 1 Mar 2027)")]
    }


def test_problems_that_are_over_or_as_before_come_in_the_order_of_their_titles() -> None:
    kinds = (*PROBLEM_TITLES, "timeout")
    backwards = dict.fromkeys(reversed(kinds), NOW)
    for news, problems in (
        (ProblemNews(over=backwards), ()),
        (ProblemNews(unchanged=backwards), tuple(Problem(kind, "") for kind in reversed(kinds))),
    ):
        (found,) = build(facts(problems=problems, news=news)).sections
        titles = [entry.text.split(":")[0].removesuffix(" (since 1 Jan 2027)") for entry in found.entries]
        assert titles[:-2] == list(PROBLEM_TITLES.values())[:-1]
        assert set(titles[-2:]) == {"Disk full", "Timeout"}


def test_lost_messages_are_told_as_they_come() -> None:
    lost = tuple(f"The report of run {number} was given up" for number in range(7))
    found = section(facts(undelivered=lost), "Earlier messages")
    assert found == Section("Earlier messages that did not arrive", tuple(map(Entry, lost)))


def test_overlong_names_are_shortened_in_a_problem() -> None:
    report = build(met(Problem("name_too_long", "", "x" * 65), Problem("name_too_long", "", "x" * 64)))
    assert told(report) == {"Names too long for the table (2)": [(f"{'x' * 40}…", ""), ("x" * 64, "")]}


def test_a_section_holds_no_more_than_any_channel_shows_and_counts_the_rest() -> None:
    (found,) = build(facts(changes=tuple(promoted(f"C{number}", 8) for number in range(1_000)))).sections
    assert (found.title, len(found.entries), found.omitted) == ("Promotions (1,000)", 200, 800)
