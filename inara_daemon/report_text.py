"""A run's report: what matters first, then who could not be looked up, what went wrong, and what it took. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from inara_daemon.change_words import words
from inara_daemon.commander import MAX_NAME_LENGTH, Change, ChangeKind, is_elite
from inara_daemon.problem_memory import Problem
from inara_daemon.report import Entry, Outcome, Report, Section
from inara_daemon.run_facts import CommanderChange, RunFacts

MOST_NOTABLE = 10
"""Changes named in a first report, where everything is new."""
EXAMPLES = 5
"""Problems of one kind that are named."""
NAMES_IN_A_ROW = 20
"""Commanders who are named where there is no more to say: new in a first report, or unknown on Inara."""
_MOST_ENTRIES = 200
"""More than any channel shows of a section, however large the roster."""
_LONGEST_TENANT = 80
"""Characters of a tenant's name in a title, so that there is room for what happened."""


def build(facts: RunFacts) -> Report:
    """The report of a run."""
    sections = [
        *_change_sections(facts),
        _names_section("Not found on Inara", facts.not_found, _NOT_FOUND_HINT),
        _names_section("Ambiguous on Inara", facts.ambiguous, _AMBIGUOUS_HINT),
        *_problem_sections(facts),
        _section("Earlier messages that did not arrive", [Entry(text) for text in facts.undelivered]),
    ]
    outcome = _outcome(facts)
    return Report(
        tenant=facts.tenant,
        run_id=facts.run_id,
        outcome=outcome,
        title=f"{_short(facts.tenant)}: {_headline(facts, outcome)}",
        summary=_lead(facts, outcome),
        sections=tuple(section for section in sections if section.entries),
        next_run_at=facts.next_run_at,
        ended_at=facts.ended_at,
        log_lines=facts.log_lines,
        log_lines_dropped=facts.log_lines_dropped,
        totals=totals_in_words(facts),
        footer=f"Run {facts.run_id}, {_REASONS.get(facts.reason, facts.reason)}",
    )


_REASONS: Mapping[str, str] = {
    "first": "the first",
    "cron": "scheduled",
    "catch-up": "for one that was missed",
    "request": "asked for",
    "reload": "after a change of the configuration",
}


def _section(title: str, entries: Sequence[Entry], most: int = _MOST_ENTRIES, hint: str = "") -> Section:
    """At most so many entries, and how many more there are."""
    return Section(title, tuple(entries[:most]), max(len(entries) - most, 0), hint)


# --- At the top ------------------------------------------------------------------------------------------------------


def _outcome(facts: RunFacts) -> Outcome:
    if facts.complete and not facts.news.fresh and not facts.news.reminded:
        return Outcome.GOOD  # problems that do not change are told apart, and once a week
    return Outcome.PARTIAL if facts.complete or facts.totals.answered else Outcome.FAILED


def _headline(facts: RunFacts, outcome: Outcome) -> str:
    """What happened, in counts."""
    if facts.first and facts.changes:
        told = [f"first look at {counted(facts.totals.answered, 'commander')}"]
    else:
        told = [
            counted(count, one, many)
            for one, many, of_kinds in _COUNTS
            if (count := len({change.name for change in facts.changes if change.change.kind in of_kinds}))
        ]
    if outcome is Outcome.FAILED and not told:
        return "the roster could not be brought up to date"
    problems = sum(facts.news.tells(kind) for kind in {problem.kind for problem in facts.problems})
    if problems:
        told.append(counted(problems, "problem"))
    if facts.news.over:
        told.append(f"{counted(len(facts.news.over), 'problem')} solved")
    return ", ".join(told) or "nothing changed"


def _lead(facts: RunFacts, outcome: Outcome) -> str:
    """What the numbers mean, where they don't speak for themselves."""
    if outcome is Outcome.FAILED:
        return "Nobody could be looked up. What is known of the commanders stays as it was."
    if not facts.complete:
        return "Not everyone could be looked up. What is known of the others stays as it was."
    if facts.first and facts.changes:
        return "Everything is new to this report, so only the most notable is told."
    return ""


def _short(tenant: str) -> str:
    return tenant if len(tenant) <= _LONGEST_TENANT else f"{tenant[: _LONGEST_TENANT - 1]}…"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 problem`, `2 problems`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def totals_in_words(facts: RunFacts) -> str:
    """How many were looked up, what it took, and how long."""
    totals = facts.totals
    counts = [f"{totals.answered:,} of {counted(totals.names, 'commander')} looked up", f"{totals.written:,} changed"]
    for count, label in (
        (totals.not_found, "not found"),
        (totals.ambiguous, "ambiguous"),
        (totals.failed, "failed"),
    ):
        if count:
            counts.append(f"{count:,} {label}")
    took = _duration(facts.started_at, facts.ended_at)
    return f"{', '.join(counts)}\n{counted(totals.requests, 'request')} to Inara in {took}"


def _duration(began: datetime, ended: datetime) -> str:
    seconds = max((ended - began).total_seconds(), 0.0)  # the clock may have been set back
    if seconds < 90:  # noqa: PLR2004 - seconds read well to there
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"  # noqa: PLR2004


# --- What changed ----------------------------------------------------------------------------------------------------

_SQUADRON = frozenset(
    {
        ChangeKind.SQUADRON_JOINED,
        ChangeKind.SQUADRON_MOVED,
        ChangeKind.SQUADRON_LEFT,
        ChangeKind.SQUADRON_RANK,
    }
)
_OTHERS = frozenset({ChangeKind.DEMOTED, ChangeKind.RANK_LEARNED})
_GROUPS: tuple[tuple[str, frozenset[ChangeKind]], ...] = (
    ("New commanders", frozenset({ChangeKind.NEW})),
    ("Promotions", frozenset({ChangeKind.PROMOTED})),
    ("Squadrons", _SQUADRON),
    ("Powers", frozenset({ChangeKind.POWER})),
    ("Names and accounts", frozenset({ChangeKind.RENAMED, ChangeKind.OTHER_ACCOUNT})),
    ("Other changes", _OTHERS),
)
_COUNTS: tuple[tuple[str, str, frozenset[ChangeKind]], ...] = (
    ("new commander", "new commanders", frozenset({ChangeKind.NEW})),
    ("promoted", "promoted", frozenset({ChangeKind.PROMOTED})),
    ("squadron change", "squadron changes", _SQUADRON),
    ("power change", "power changes", frozenset({ChangeKind.POWER})),
    ("renamed", "renamed", frozenset({ChangeKind.RENAMED})),
    ("other account", "other accounts", frozenset({ChangeKind.OTHER_ACCOUNT})),
    ("other change", "other changes", _OTHERS),
)


def _change_sections(facts: RunFacts) -> list[Section]:
    if facts.first:
        return _first_sections(facts.changes)
    found = []
    for title, kinds in _GROUPS:
        changes = [change for change in facts.changes if change.change.kind in kinds]
        if kinds == {ChangeKind.PROMOTED}:
            changes.sort(key=_height, reverse=True)
        entries = _entries(changes, say_new=kinds != {ChangeKind.NEW})
        found.append(_section(f"{title} ({len(entries):,})", entries))
    return found


def _height(change: CommanderChange) -> tuple[bool, int]:
    """How high a rank is: Elite is above every other one, and what is no rank is none."""
    ladder = change.change.ladder
    value = int(change.change.new or 0) if ladder is not None else 0
    return ladder is not None and is_elite(ladder, value), value


def _first_sections(changes: Sequence[CommanderChange]) -> list[Section]:
    """A first report: of the changes only the most notable, and who was not known at all."""
    notability = list(ChangeKind)
    new = _entries([change for change in changes if change.change.kind is ChangeKind.NEW], say_new=False)
    others = [change for change in changes if change.change.kind is not ChangeKind.NEW]
    highest = sorted(others, key=_height, reverse=True)
    entries = _entries(sorted(highest, key=lambda change: notability.index(change.change.kind)))
    return [
        _section("Most notable", entries, MOST_NOTABLE),
        _section(f"New commanders ({len(new):,})", new, NAMES_IN_A_ROW),
    ]


def _entries(changes: Iterable[CommanderChange], *, say_new: bool = True) -> tuple[Entry, ...]:
    """One line for each commander, in the order in which they come."""
    grouped: dict[str, list[CommanderChange]] = {}
    for change in changes:
        grouped.setdefault(change.name, []).append(change)
    return tuple(
        Entry("; ".join(_told([item.change for item in items])) if say_new else "", name, items[-1].url)
        for name, items in grouped.items()
    )


def _told(changes: Sequence[Change]) -> list[str]:
    """One commander's changes in words; ranks that were merely unknown before are counted, not listed."""
    learned = [change for change in changes if change.kind is ChangeKind.RANK_LEARNED]
    told = [words(change) for change in changes if change.kind is not ChangeKind.RANK_LEARNED]
    return told + (
        [words(learned[0])] if len(learned) == 1 else [f"{len(learned)} ranks first seen"] if learned else []
    )


# --- Who is unknown, and what went wrong -----------------------------------------------------------------------------

_NOT_FOUND_HINT = "Nothing is wrong: they may have no profile there, or spell it otherwise. They are asked for again."
_AMBIGUOUS_HINT = "Inara showed somebody of another name: nothing was changed. Is the name spelt the same there?"


def _names_section(title: str, names: Sequence[str], hint: str) -> Section:
    return _section(f"{title} ({len(names):,})", [Entry("", name) for name in names], NAMES_IN_A_ROW, hint)


_PROBLEM_TITLES: Mapping[str, str] = {
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
}
"""In the order in which they are told; those of a tenant's own database, and others, come last."""
_PROBLEM_HINTS: Mapping[str, str] = {
    "not_whitelisted": "Only the operator of this daemon can do something about it.",
    "name_set_aside": "They are left out, so that nobody else is refused, and tried again by themselves.",
    "bad_key": "Make a new key on Inara and put it into tenant.json.",
    "name_rejected": "They are asked again by themselves, less and less often.",
    "name_unanswered": "They are asked again in the next run.",
    "name_too_long": "Names have 64 characters at most. Nobody of that name can be on Inara.",
}


def _problem_sections(facts: RunFacts) -> list[Section]:
    grouped: dict[str, list[Problem]] = defaultdict(list)
    for problem in facts.problems:
        grouped[problem.kind].append(problem)
    told = [_problem_section(kind, grouped[kind], facts) for kind in _ordered(grouped) if facts.news.tells(kind)]
    over = [Entry(f"{_problem_title(kind)} (since {_day(at)})") for kind, at in _told_since(facts.news.over)]
    unchanged = [
        Entry(f"{_problem_title(kind)}: {len(grouped[kind]):,}, since {_day(at)}")
        for kind, at in _told_since(facts.news.unchanged)
    ]
    return [
        *told,
        _section("No longer a problem", over),
        _section("As before (told again once a week)", unchanged),
    ]


def _told_since(since: Mapping[str, datetime]) -> list[tuple[str, datetime]]:
    return [(kind, since[kind]) for kind in _ordered(since)]


def _ordered(kinds: Iterable[str]) -> list[str]:
    order = list(_PROBLEM_TITLES)
    return sorted(kinds, key=lambda kind: order.index(kind) if kind in order else len(order))


def _problem_section(kind: str, problems: Sequence[Problem], facts: RunFacts) -> Section:
    since = facts.news.reminded.get(kind)
    still = "" if since is None else f", still there since {_day(since)}"
    entries = [Entry(problem.text, problem.name and _short_name(problem.name)) for problem in problems]
    title = f"{_problem_title(kind)} ({len(problems):,}){still}"
    return _section(title, entries, EXAMPLES, _PROBLEM_HINTS.get(kind, ""))


def _problem_title(kind: str) -> str:
    return _PROBLEM_TITLES.get(kind, kind.replace("_", " ").capitalize())


def _short_name(name: str) -> str:
    return name if len(name) <= MAX_NAME_LENGTH else f"{name[:40]}…"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"
