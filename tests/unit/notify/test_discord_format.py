"""One Discord message, whatever the names: limits, escaping, links, and what was left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inara_daemon.commander import Change, ChangeKind, RankKind
from inara_daemon.log_lines import Allowance, Digest, digest_report, log_line
from inara_daemon.notify.discord_format import cut, escape, length, render
from inara_daemon.problem_memory import Problem, ProblemNews
from inara_daemon.report import Entry, Outcome, Report, Section, notice
from inara_daemon.report_text import build
from inara_daemon.run_facts import CommanderChange, RunFacts, Totals
from inara_daemon.sandbox.discord_form import form_problems
from tests.quiet_run import NOW, PAGE, facts, met

REPORT = Report(
    "Grim", 7, Outcome.GOOD, "Grim: nothing changed", "All well.", (), None, NOW, totals="3 of 3", footer="Run 7"
)
ROCKET = "\N{ROCKET}"


def units(text: str) -> int:
    """The strictest count of Discord's: UTF-16 units."""
    return sum(2 if ord(sign) > 0xFFFF else 1 for sign in text)


def embed(report: Report) -> dict[str, Any]:
    (found,) = render(report)["embeds"]
    assert isinstance(found, dict)
    return found


def fields(report: Report) -> list[tuple[str, str]]:
    """The fields but for the last one, which every run has."""
    return [(field["name"], field["value"]) for field in embed(report)["fields"] if field["name"] != "This run"]


def value_of(*entries: Entry, omitted: int = 0, hint: str = "") -> str:
    ((_, value),) = fields(replace(REPORT, sections=(Section("Names", entries, omitted, hint),)))
    return value


# --- Limits ----------------------------------------------------------------------------------------------------------


def assert_discord_takes(message: dict[str, Any]) -> None:
    assert message["allowed_mentions"] == {"parse": []}
    assert form_problems(message) == []
    assert units(message.get("content", "")) <= 2_000
    embeds = message.get("embeds", [])
    counted = 0
    for found in embeds:
        parts = [(found["title"], 256), (found.get("description", "…"), 4_096)]
        parts += [(found.get("footer", {}).get("text", "…"), 2_048)]
        for field in found["fields"]:
            parts += [(field["name"], 256), (field["value"], 1_024)]
        assert all(text.strip() and units(text) <= most for text, most in parts)
        assert len(found["fields"]) <= 25
        counted += sum(units(text) for text, _ in parts)
    assert counted <= 6_000
    assert message.get("content", "").strip() or embeds


hostile = st.one_of(
    st.text(max_size=64),
    st.text(r"*_~`|<>#-[]()\@:.1, " + "\n\u202e\u200b" + ROCKET, max_size=64),
    st.sampled_from(["@everyone", "```", "`" * 64, "*" * 64, "\\" * 64, ROCKET * 64, "1. x", "# x", "[x](http://x.y)"]),
)
counts = st.integers(0, 10**7)
totals = st.builds(Totals, counts, counts, counts, counts, counts, counts, counts)
values = hostile | st.none()
KINDS = ["bug", "outage", "bad_key", "incomplete", "name_rejected", "name_set_aside", "name_too_long", "disk_full"]


def changes_of(name: str) -> st.SearchStrategy[CommanderChange]:
    ranks = st.integers(0, 10**6).map(str)
    kinds = st.sampled_from([kind for kind in ChangeKind if "mote" not in kind and kind is not ChangeKind.RANK_LEARNED])
    change = st.builds(Change, kinds, values, values)
    promotion = st.builds(Change, st.just(ChangeKind.PROMOTED), ranks, ranks, st.sampled_from(RankKind))
    url = st.sampled_from([None, PAGE, f"https://inara.cz/{'x' * 230}", "https://evil.example/"])
    return st.builds(CommanderChange, st.just(name), url, change | promotion)


@st.composite
def runs(draw: st.DrawFn) -> RunFacts:
    """Runs with up to hundreds of everything, made of a few hostile names."""

    def many(few: Sequence[str], most: int = 300) -> tuple[str, ...]:
        count = draw(st.integers(0, most)) if few else 0
        return tuple(f"{few[number % len(few)]}{number or ''}" for number in range(count))

    names, said = draw(st.lists(hostile, max_size=4)), draw(st.lists(hostile, max_size=4))
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=40))
    told = draw(st.lists(st.sampled_from(["", *names]).flatmap(changes_of), max_size=6))
    how = draw(st.dictionaries(st.sampled_from(KINDS), st.sampled_from(["fresh", "reminded", "unchanged", "over"])))
    dated = {way: {kind: NOW for kind in how if how[kind] == way} for way in ("reminded", "unchanged", "over")}
    return facts(
        tenant=draw(hostile),
        first=draw(st.booleans()),
        reason=draw(st.sampled_from(["cron", "first", "catch-up", "request", "reload", "whim"])),
        complete=draw(st.booleans()),
        totals=draw(totals),
        changes=tuple(replace(told[n % len(told)], name=name) for n, name in enumerate(many(names))) if told else (),
        not_found=many(names),
        ambiguous=many(names),
        problems=tuple(
            Problem(kind, text, draw(values)) for kind, text in zip(kinds, [*many(said, 40), *[""] * 40], strict=False)
        ),
        news=ProblemNews(fresh=frozenset(kind for kind in how if how[kind] == "fresh"), **dated),
        undelivered=many(said),
        log_lines=many(names),
        log_lines_dropped=draw(counts),
    )


@given(runs(), st.booleans())
def test_text_from_outside_of_any_kind_and_size_keeps_every_limit(run: RunFacts, plain: bool) -> None:
    assert_discord_takes(render(build(run), plain=plain))


@given(hostile, st.lists(hostile, max_size=20), st.integers(1, 400), counts, st.booleans())
def test_a_message_of_log_lines_alone_keeps_every_limit(
    whose: str, texts: list[str], times: int, held_back: int, plain: bool
) -> None:
    lines = tuple(log_line("warning", text, text * times, NOW) for text in texts)
    report = digest_report(Digest(lines, held_back, Allowance()), whose, NOW)
    assert_discord_takes(render(report, plain=plain))


@given(hostile, hostile, st.lists(hostile, max_size=20), st.integers(1, 100), st.booleans())
def test_a_notice_keeps_every_limit(whose: str, title: str, lines: list[str], times: int, plain: bool) -> None:
    text = "\n".join(f"!{line * times}" for line in lines)
    assert_discord_takes(render(notice(whose, f"!{title}", text, NOW), plain=plain))


entries = st.builds(Entry, hostile, st.none() | hostile, st.sampled_from([None, PAGE]))
sections = st.builds(
    lambda title, few, times, omitted, hint: Section(f"!{title}", tuple(few) * times, omitted + 1, hint),
    hostile,
    st.lists(entries, max_size=4),
    st.integers(1, 60),
    counts,
    st.text("Hint. ", max_size=200),
)


@given(
    st.builds(
        Report,
        tenant=hostile,
        run_id=counts,
        outcome=st.sampled_from(Outcome),
        title=hostile.map("!{}".format),
        summary=st.builds(str.__mul__, hostile.map("!{}".format), st.integers(0, 8)),
        sections=st.lists(sections, max_size=40).map(tuple),
        next_run_at=st.sampled_from([None, NOW]),
        ended_at=st.just(NOW),
        log_lines=st.builds(tuple[str, ...].__mul__, st.lists(hostile, max_size=4).map(tuple), st.integers(0, 60)),
        log_lines_dropped=counts,
        totals=st.builds(str.__mul__, hostile.map("!{}".format), st.integers(0, 4)),
        footer=hostile,
    ),
    st.booleans(),
)
def test_a_report_of_any_shape_keeps_every_limit(report: Report, plain: bool) -> None:
    assert_discord_takes(render(report, plain=plain))


@pytest.mark.parametrize("text", ["", "\u200b", "\x01\n"])
def test_text_from_outside_in_which_nothing_is_to_be_seen_leaves_no_field_empty(text: str) -> None:
    assert value_of(Entry(text)) == "?"
    assert value_of(Entry("", text)) == "?"


@pytest.mark.parametrize("sign", ["x", "*", "\\", "`", ROCKET])
@pytest.mark.parametrize("plain", [False, True])
def test_everything_too_long_at_once_keeps_every_limit(sign: str, plain: bool) -> None:
    text = sign * 7_000
    section = Section("t" * 300, tuple(Entry(text, f"{sign * 64}{number}", PAGE) for number in range(20)), 10**6)
    report = Report("Grim", 7, Outcome.FAILED, text, text, (section,) * 30, NOW, NOW, (text,) * 200, 10**6)
    assert_discord_takes(render(report, plain=plain))


LONG = "x" * 7_000
FULL = Report("G", 7, Outcome.FAILED, LONG, LONG, (), NOW, NOW, (LONG,) * 200, totals=LONG, footer=LONG)


@pytest.mark.timeout(1)
@pytest.mark.parametrize("entries", [(), (Entry("Elite", "Nova"),)])
def test_everything_that_has_its_place_at_once_keeps_every_limit(entries: tuple[Entry, ...]) -> None:
    assert_discord_takes(render(replace(FULL, sections=(Section("t" * 300, entries, 10**6),) * 30)))


def test_a_long_summary_above_log_lines_alone_keeps_every_limit() -> None:
    report = Report("G", 0, Outcome.FAILED, "t", "x" * 7_000, (), None, NOW, ("y" * 50,) * 100)
    assert_discord_takes(render(report))


def test_at_most_25_fields_and_the_log_and_the_totals_are_the_last_of_them() -> None:
    names = [f"S{number}" for number in range(30)]
    report = replace(REPORT, sections=tuple(Section(name, (Entry("x"),)) for name in names))
    for shown, last in ((report, ["This run"]), (replace(report, log_lines=("line",)), ["Log", "This run"])):
        titles = [field["name"] for field in embed(shown)["fields"]]
        count = 25 - len(last) - 1
        assert titles == [*names[:count], f"… and {30 - count} sections more", *last]


def test_more_sections_than_discord_shows_are_named() -> None:
    sections = tuple(Section(f"kind {number}", (Entry("x"),)) for number in range(25))
    title, value = fields(replace(REPORT, sections=sections))[-1]
    assert (title, value) == ("… and 2 sections more", "kind 23\nkind 24")


def test_as_many_sections_as_discord_shows_are_all_shown() -> None:
    sections = tuple(Section(f"kind {number}", (Entry("x"),)) for number in range(24))
    assert [name for name, _ in fields(replace(REPORT, sections=sections))] == [section.title for section in sections]


def test_the_log_finds_room_when_the_sections_take_all() -> None:
    section = Section("Names", tuple(Entry("", "x" * 60) for _ in range(100)))
    name, value = fields(replace(REPORT, sections=(section,) * 20, log_lines=("line " * 20,) * 30))[-1]
    assert name == "Log"
    assert value.count("\n") > 8


@pytest.mark.parametrize("before", [1, 5, 12])
def test_a_long_section_leaves_those_behind_it_their_share(before: int) -> None:
    long = Section("Long", tuple(Entry("joined Grim", f"Commander {number}") for number in range(500)))
    short = Section("Short", tuple(Entry(f"problem {number}") for number in range(5)))
    shown = fields(replace(REPORT, sections=(*(long,) * before, short)))
    assert shown[-1] == ("Short", "\n".join(f"problem {number}" for number in range(5)))
    assert "more" in shown[-2][1]


def test_a_long_section_flows_into_further_fields_where_there_is_room() -> None:
    long = Section("Long (60)", tuple(Entry("joined Grim", f"Commander {number}") for number in range(60)), 7, "Well.")
    shown = fields(replace(REPORT, sections=(long, Section("Short", (Entry("x"),)))))
    assert [name for name, _ in shown] == ["Long (60)", "Long (60), continued", "Short"]
    lines = "\n".join(value for _, value in shown[:-1]).split("\n")
    assert lines == ["_Well._", *(f"**Commander {number}** joined Grim" for number in range(60)), "… and 7 more"]


def test_sections_that_fit_no_more_than_a_field_each_stay_whole() -> None:
    long = Section("Long", tuple(Entry("joined Grim", f"Commander {number}") for number in range(500)))
    shown = fields(replace(REPORT, sections=(long,) * 5))
    assert [name for name, _ in shown] == ["Long"] * 5


def test_a_long_footer_leaves_less_room_for_the_sections() -> None:
    sections = (Section("Names", tuple(Entry("", "x" * 60) for _ in range(100)), 10**6),) * 10
    assert_discord_takes(render(replace(REPORT, sections=sections, footer="f" * 2_000)))


def test_room_that_short_sections_leave_is_for_the_long_ones() -> None:
    long = Section("Long", tuple(Entry("joined Grim", f"Commander {number}") for number in range(500)))
    shown = fields(replace(REPORT, sections=(*(Section("Short", (Entry("x"),)),) * 3, *(long,) * 5)))
    assert all(units(value) > 900 for name, value in shown if name == "Long")


# --- What it shows ---------------------------------------------------------------------------------------------------


def test_a_message_shows_the_report() -> None:
    sections = (
        Section("Promotions (2)", (Entry("Combat: Deadly → Elite", "Nova", PAGE), Entry("Trade: Dealer", "Vega")), 3),
        Section("Not found (3)", (Entry("", "Lyra"), Entry("", "\u200b"), Entry("", "1. X", PAGE)), 0, "No harm."),
    )
    log = ("warning a`b```c", "error d\n e")
    report = replace(REPORT, summary="One.\nTwo_2.", sections=sections, next_run_at=NOW, log_lines=log)
    report = replace(report, totals="3 of 3\n1_2 requests", footer="Run\n_7_")
    assert embed(report) == {
        "title": "Grim: nothing changed",
        "description": "One.\nTwo\\_2.",
        "color": 0x2ECC71,
        "timestamp": "2027-01-01T01:00:00+00:00",
        "footer": {"text": "Run _7_"},
        "fields": [
            {
                "name": "Promotions (2)",
                "value": f"**[Nova]({PAGE})** Combat: Deadly → Elite\n**Vega** Trade: Dealer\n… and 3 more",
                "inline": False,
            },
            {"name": "Not found (3)", "value": f"_No harm._\nLyra, ?, [1\\. X]({PAGE})", "inline": False},
            {
                "name": "Log",
                "value": "```text\nwarning a`\u200bb`\u200b`\u200b`\u200bc\nerror d e\n```",
                "inline": False,
            },
            {
                "name": "This run",
                "value": "3 of 3\n1\\_2 requests\nNext run <t:1798765200:f> (<t:1798765200:R>)",
                "inline": False,
            },
        ],
    }
    assert render(report, plain=True)["content"].split("\n") == [
        "**Grim: nothing changed**",
        "One.",
        "Two\\_2.",
        "3 of 3",
        "1\\_2 requests",
        "Next run <t:1798765200:f> (<t:1798765200:R>)",
        "warning a\\`b\\`\\`\\`c",
        "error d e",
        "Run",
        "\\_7\\_",
    ]


def test_a_plain_message_is_no_longer_than_discord_allows_and_has_the_first_log_lines() -> None:
    assert units(render(replace(REPORT, summary="x" * 3_000), plain=True)["content"]) == 2_000
    content = render(replace(REPORT, log_lines=("one", "two", "three", "four")), plain=True)["content"]
    assert "one\ntwo\nthree\n… and 1 more in the log" in content
    assert "four" not in content


@pytest.mark.parametrize("blank", ["", "  ", "\x01", "\u200b"])
def test_lines_in_which_nothing_is_to_be_seen_are_left_out(blank: str) -> None:
    text = f"{blank}\n{blank}\nOne.\n{blank}\nTwo.\n{blank}"
    report = replace(REPORT, summary=text, totals=text)
    assert embed(report)["description"] == "One.\nTwo."
    assert embed(report)["fields"] == [{"name": "This run", "value": "One.\nTwo.", "inline": False}]
    lines = ["**Grim: nothing changed**", "One.", "Two.", "One.", "Two.", "Run 7"]
    assert render(report, plain=True)["content"].split("\n") == lines
    nothing = embed(replace(REPORT, summary=f"{blank}\n{blank}", totals=blank))
    assert "description" not in nothing
    assert nothing["fields"] == []


@pytest.mark.parametrize("sign", ["\n", "\r\n", "\t", "\x1b", "\u202e", "\u2028", chr(0xD800)])
def test_a_log_line_is_one_line_without_signs_that_nobody_can_see(sign: str) -> None:
    report = replace(REPORT, log_lines=(f"error a{sign}b", "c"))
    ((_, block),) = fields(report)
    assert block.split("\n") == ["```text", "error a b", "c", "```"]
    assert "\nerror a b\nc\n" in render(report, plain=True)["content"]


def test_in_a_plain_message_the_next_run_is_not_lost_behind_long_log_lines() -> None:
    content = render(replace(REPORT, next_run_at=NOW, log_lines=("x" * 900,) * 3), plain=True)["content"]
    assert "Next run <t:" in content
    assert content.endswith("x…")


def test_log_lines_alone_stand_in_the_description_where_there_is_more_room_than_in_a_field() -> None:
    lines = tuple(f"{number:03} {'x' * 60}" for number in range(50))
    found = embed(Report("Grim", 0, Outcome.FAILED, "Grim: 50 log lines", "7 more.", (), None, NOW, lines))
    assert found["fields"] == []
    summary, fence, *shown, end = found["description"].split("\n")
    assert (summary, fence, shown, end) == ("7 more.", "```text", list(lines), "```")


def test_a_notice_has_neither_fields_nor_a_footer() -> None:
    assert embed(notice("Grim", "Test", "It *works*.", NOW)) == {
        "title": "Test",
        "description": "It \\*works\\*.",
        "color": 0x2ECC71,
        "timestamp": "2027-01-01T01:00:00+00:00",
        "fields": [],
    }


@pytest.mark.parametrize("plain", [False, True])
def test_without_a_next_run_none_is_named(plain: bool) -> None:
    assert "Next run" not in str(render(REPORT, plain=plain))


def test_without_anything_to_say_at_the_top_there_is_no_description() -> None:
    assert "description" not in embed(replace(REPORT, summary=" \n"))


def test_each_outcome_has_the_colour_of_a_traffic_light() -> None:
    colours = {outcome: embed(replace(REPORT, outcome=outcome))["color"] for outcome in Outcome}
    assert colours == {Outcome.GOOD: 0x2ECC71, Outcome.PARTIAL: 0xF1C40F, Outcome.FAILED: 0xE74C3C}


@pytest.mark.parametrize("url", [PAGE, "http://inara.cz/x", "https://www.inara.cz/elite/cmdr-a_b/1.html"])
def test_a_page_of_inaras_is_linked(url: str) -> None:
    assert value_of(Entry("", "Nova", url)) == f"[Nova]({url})"


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "https://inara.cz.evil.example/",
        "https://evilinara.cz/",
        "https://evil-inara.cz/",
        "https://evil.example/https://inara.cz/",
        "https://user@inara.cz/",
        "https://inara.cz:8080/",
        "https://inara.cz/x) [y](https://evil.example/",
        "https://inara.cz/ x",
        "https://inara.cz/\n",
        "javascript://inara.cz/",
        "https://inaraxcz/",
    ],
)
def test_text_from_outside_makes_no_link_to_anywhere_else(url: str | None) -> None:
    assert value_of(Entry("", "Nova", url)) == "Nova"


def test_a_hint_stands_above_the_names_in_italics_unless_they_would_lack_room() -> None:
    entry = Entry("", "Nova")
    assert value_of(entry, hint="No harm.") == "_No harm._\nNova"
    assert value_of(entry, hint="x" * 904) == f"_{'x' * 904}_\nNova"
    assert value_of(entry, hint="x" * 905) == "Nova"


# --- What was left out -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300), min_size=1, max_size=8), st.integers(1, 64), st.integers(0, 10**6), st.booleans())
def test_shown_and_left_out_are_all_in_lines_and_in_rows_of_names(
    sizes: list[int], width: int, omitted: int, in_lines: bool
) -> None:
    entry = Entry("y" if in_lines else "", "x" * width)
    sections = tuple(Section(f"S{index}", (entry,) * size, omitted + 1) for index, size in enumerate(sizes))
    between = "\n" if in_lines else ", "
    values: dict[str, list[str]] = {}
    for name, value in fields(replace(REPORT, sections=sections)):
        values.setdefault(name.removesuffix(", continued"), []).append(value)
    for section in sections:
        *shown, last = between.join(values[section.title]).split(between)
        more = re.fullmatch("… and ([0-9,]+) more", last)
        assert more is not None
        assert all(re.fullmatch(r"\*\*x+…?\*\* y" if in_lines else "x+…?", part) for part in shown)
        assert len(shown) + int(more[1].replace(",", "")) == len(section.entries) + section.omitted


def test_what_fits_is_shown_whole() -> None:
    value = value_of(*(Entry("", f"Commander {number:03}") for number in range(60)))
    assert value == ", ".join(f"Commander {number:03}" for number in range(60))
    lines = value_of(*(Entry("x", f"Commander {number:03}") for number in range(50)))
    assert lines == "\n".join(f"**Commander {number:03}** x" for number in range(50))
    names = Section("Names", tuple(Entry("", f"Commander {number:03}") for number in range(90)))
    (_, fuller), *_ = fields(replace(REPORT, sections=(names,)))
    assert 1_024 - 60 < units(fuller) <= 1_024


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("Nova", 4, "Nova"),
        ("Nova Prime", 5, "Nova…"),
        ("x" * 10, 1, "…"),
        ("x" * 10, 0, ""),
        ("x" * 10, -3, ""),
        ("", 0, ""),
        (ROCKET * 2, 4, ROCKET * 2),
        (ROCKET * 3, 5, f"{ROCKET * 2}…"),
        (ROCKET * 3, 4, f"{ROCKET}…"),
        ("ab\\*", 4, "ab\\*"),
        ("ab\\*c", 4, "ab…"),
        ("ab\\\\\\*c", 5, "ab…"),
    ],
)
def test_what_is_cut_says_so_and_leaves_no_escape_behind(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


def test_an_overlong_line_is_cut_and_the_next_ones_still_come() -> None:
    first, *rest = value_of(Entry("y" * 2_000, "Nova"), Entry("", "Vega")).split("\n")
    assert first.startswith("**Nova** yyy")
    assert first.endswith("y…")
    assert rest == ["Vega"]


@given(hostile, st.integers(1, 130))
def test_a_cut_text_begins_like_the_whole_and_fits_in_utf_16_units(text: str, width: int) -> None:
    assert length(f"{text}\ud800") == units(text) + 1
    shown = cut(text, width)
    assert units(shown) <= width
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]) and units(text) > width)


# --- Text from outside -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", r"\*_~`|<>#-[]")
def test_text_from_outside_loses_its_markdown(sign: str) -> None:
    assert escape(f"a{sign}{sign}b") == f"a\\{sign}\\{sign}b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. Nova", "1\\. Nova"),
        ("12.", "12\\."),
        (" 1. Nova", "1\\. Nova"),
        ("Nova 1.", "Nova 1."),
        ("1 Nova.", "1 Nova."),
        ("Grim's Squad & Co.", "Grim's Squad & Co."),
        ("<@123> <@&4> <#5>", "\\<@123\\> \\<@&4\\> \\<\\#5\\>"),
        ("a\nb\r\n\tc", "a b c"),
        ("a\u202eb\u200bc\x1bd\ud800e", "a b c d e"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("https://evil.example", "https:\u200b//evil.example"),
    ],
)
def test_text_from_outside_is_one_line_to_the_letter(text: str, shown: str) -> None:
    assert escape(text) == shown


@given(hostile)
def test_text_from_outside_leaves_no_sign_that_discord_would_read(text: str) -> None:
    escaped = escape(text)
    assert re.match(r"\d+\.", escaped) is None
    assert "://" not in escaped
    assert not set(re.sub(r"\\[^A-Za-z0-9\s]", "", escaped)) & set("\\*_~`|<>#-[]\n")


@given(runs())
@settings(max_examples=50)
def test_text_from_outside_never_begins_a_line_as_markdown(run: RunFacts) -> None:
    found = embed(build(run))
    values = [field["value"] for field in found["fields"] if field["name"] != "Log"]
    texts = [found["title"], found.get("description", ""), *values]
    for line in "\n".join(texts).split("\n"):
        assert re.match(r"#|>|-|\d+\.|\*(?!\*)", line) is None
        assert "```" not in line


@given(st.lists(hostile, min_size=1, max_size=40), counts)
def test_text_from_outside_cannot_break_a_code_block(lines: list[str], dropped: int) -> None:
    ((_, block),) = fields(replace(REPORT, log_lines=tuple(lines), log_lines_dropped=dropped))
    assert block.startswith("```text\n")
    assert block.endswith("\n```")
    shown = block.removeprefix("```text\n").removesuffix("\n```").split("\n")
    assert not any("``" in line for line in shown)
    more = re.fullmatch("… and ([0-9,]+) more", shown[-1])
    left = int(more[1].replace(",", "")) if more is not None else 0
    assert more is None or left > 0
    assert len(shown) - (1 if more is not None else 0) + left == len(lines) + dropped


def test_the_oldest_log_lines_are_kept_in_their_order() -> None:
    ((_, block),) = fields(replace(REPORT, log_lines=tuple(f"line {number}" for number in range(1_000))))
    *shown, more = block.split("\n")[1:-1]
    assert shown == [f"line {number}" for number in range(len(shown))]
    assert more == f"… and {1_000 - len(shown)} more"
    assert len(shown) > 80


def test_a_long_log_line_is_cut_so_that_others_have_room() -> None:
    ((_, block),) = fields(replace(REPORT, log_lines=("x" * 900, "y" * 900, "z")))
    assert block.split("\n")[1:-1] == [f"{'x' * 399}…", f"{'y' * 399}…", "z"]


def test_a_busy_night_hides_neither_what_went_wrong_nor_what_was_lost_nor_what_it_took() -> None:
    names = [f"commander number {number:04}" for number in range(80)]
    kinds = [kind for kind in ChangeKind if "mote" not in kind and kind is not ChangeKind.RANK_LEARNED]
    run = met(
        *(Problem(kind, f"{kind} broke") for kind in KINDS),
        changes=tuple(CommanderChange(name, PAGE, Change(kind, "old", "new")) for kind in kinds for name in names),
        not_found=tuple(names),
        ambiguous=tuple(names),
        undelivered=("report of run 3: expired",),
        log_lines=("a line",) * 20,
    )
    found = embed(build(run))
    assert_discord_takes(render(build(run)))
    shown = {field["name"]: field["value"] for field in found["fields"]}
    values = "\n".join(shown.values())
    assert all(escape(f"{kind} broke") in values for kind in KINDS)
    assert shown["Earlier messages that did not arrive"] == "report of run 3: expired"
    assert "3 of 3 commanders looked up" in shown["This run"]
    assert "Next run <t:" in shown["This run"]
    assert "a line" in shown["Log"]


@given(runs())
def test_every_section_has_its_place_and_the_totals_and_the_next_run_have_the_last_one(run: RunFacts) -> None:
    report = build(run)
    *others, last = embed(report)["fields"]
    names = [field["name"].removesuffix(", continued") for field in others if field["name"] != "Log"]
    assert list(dict.fromkeys(names)) == list(dict.fromkeys(cut(section.title, 80) for section in report.sections))
    assert last["name"] == "This run"
    totals, requests, next_run = last["value"].split("\n")
    assert " looked up, " in totals
    assert " to Inara in " in requests
    assert re.fullmatch(r"Next run <t:\d+:f> \(<t:\d+:R>\)", next_run)


def test_a_line_loses_its_link_before_its_words() -> None:
    assert value_of(Entry("Elite", "Nova", f"https://inara.cz/{'x' * 500}")) == "**Nova** Elite"


def test_a_line_with_room_for_few_words_only_loses_them_and_keeps_the_name() -> None:
    assert value_of(Entry("Elite", "N" * 505)) == "N" * 505


@pytest.mark.parametrize("words", range(0, 1_200, 37))
def test_what_is_too_long_loses_words_or_its_link_but_never_breaks_one(words: int) -> None:
    entry = Entry("x" * words, "Nova", PAGE)
    sections = tuple(Section(f"{number}" * 80, (entry,) * 9) for number in range(24))
    for _, value in fields(replace(REPORT, sections=sections)):
        for line in value.splitlines():
            assert line.count("**") in {0, 2}
            assert line.count("[") == line.count("](") == line.count("/)")
