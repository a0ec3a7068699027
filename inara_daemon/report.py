"""What a run has to tell, neutral of the channel that tells it; texts are raw, the channel escapes them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import TypeAdapter

from inara_daemon.commander import Change, ChangeKind, RankKind, ladder_name, rank_title
from inara_daemon.tenants import ReportKind

MOST_NOTABLE = 10
"""Changes named in a first report, where everything is new."""
EXAMPLES = 5
"""Problems of one kind that are named."""


@dataclass(frozen=True, slots=True)
class CommanderChange:
    """One change of one commander; `url` is the Inara page."""

    name: str
    url: str | None
    change: Change


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a run; `written` commanders changed."""

    names: int
    answered: int
    written: int
    not_found: int
    ambiguous: int
    failed: int
    requests: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong, by kind."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that a report is made from; `undelivered` are earlier reports that were lost, in words."""

    tenant: str
    run_id: int
    reason: str
    started_at: datetime
    ended_at: datetime
    next_run_at: datetime | None
    first: bool
    totals: Totals
    changes: tuple[CommanderChange, ...] = ()
    not_found: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    undelivered: tuple[str, ...] = ()
    log_lines: tuple[str, ...] = ()
    log_lines_dropped: int = 0


class Outcome(StrEnum):
    """How it went, at a glance."""

    GOOD = "good"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a section: a commander, if `name` is set, and what there is to say."""

    text: str
    name: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of one kind; `omitted` more were left out."""

    title: str
    entries: tuple[Entry, ...]
    omitted: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a channel shows."""

    tenant: str
    run_id: int
    outcome: Outcome
    title: str
    summary: str
    sections: tuple[Section, ...]
    next_run_at: datetime | None
    ended_at: datetime
    log_lines: tuple[str, ...] = ()
    log_lines_dropped: int = 0


class Reason(StrEnum):
    """Why a report is sent."""

    ALWAYS = "always"
    FIRST = "first"
    CHANGES = "changes"
    PROBLEMS = "problems"


_REPORT = TypeAdapter(Report)


def to_json(report: Report) -> str:
    """The report as text, for a durable queue."""
    return _REPORT.dump_json(report).decode()


def from_json(text: str) -> Report:
    """The report that `to_json` wrote."""
    return _REPORT.validate_json(text)


def should_report(kind: ReportKind, facts: RunFacts) -> Reason | None:
    """Why this run is reported to a tenant that wants reports of this kind; None: it isn't."""
    if kind is ReportKind.ALWAYS:
        return Reason.ALWAYS
    if facts.problems or facts.undelivered:
        return Reason.PROBLEMS
    if kind is ReportKind.PROBLEMS:
        return None
    if facts.first:
        return Reason.FIRST
    return Reason.CHANGES if facts.changes else None


def words(change: Change) -> str:
    """A change in words, such as `Combat: Deadly → Elite`."""
    old, new = change.old, change.new
    if change.ladder is not None:
        return _rank_words(change.ladder, old, new)
    return {
        ChangeKind.RENAMED: f"now called {new} on Inara",
        ChangeKind.OTHER_ACCOUNT: "another Inara account now answers to this name",
        ChangeKind.SQUADRON_JOINED: f"joined {new}",
        ChangeKind.SQUADRON_MOVED: f"moved from {old} to {new}",
        ChangeKind.SQUADRON_LEFT: f"left {old}",
        ChangeKind.SQUADRON_RANK: _from_to("Squadron rank", old, new),
        ChangeKind.POWER: _from_to("Power", old, new),
        ChangeKind.NEW: "new on the roster",
    }.get(change.kind, _from_to(change.kind.value, old, new))


def _from_to(what: str, old: str | None, new: str | None) -> str:
    return f"{what}: {new or 'unknown'}" if old is None else f"{what}: {old} → {new or 'unknown'}"


def _rank_words(ladder: RankKind, old: str | None, new: str | None) -> str:
    title = rank_title(ladder, int(new or 0))
    if old is None:
        return f"{ladder_name(ladder)}: {title} (first seen)"
    return f"{ladder_name(ladder)}: {rank_title(ladder, int(old))} → {title}"


def notice(tenant: str, title: str, text: str, now: datetime) -> Report:
    """A message that tells of no run."""
    return Report(tenant, 0, Outcome.GOOD, title, text, (), None, now)


def build(facts: RunFacts) -> Report:
    """The report of a run."""
    sections = [
        *_change_sections(facts),
        _names_section("Not on Inara (they may not have an account: nothing to do)", facts.not_found),
        _names_section("Ambiguous on Inara (check the spelling; nothing was changed)", facts.ambiguous),
        *_problem_sections(facts.problems),
        Section("Earlier reports that did not arrive", tuple(Entry(text) for text in facts.undelivered)),
    ]
    return Report(
        tenant=facts.tenant,
        run_id=facts.run_id,
        outcome=_outcome(facts),
        title=f"Commander sync for {facts.tenant}",
        summary=_summary(facts),
        sections=tuple(section for section in sections if section.entries or section.omitted),
        next_run_at=facts.next_run_at,
        ended_at=facts.ended_at,
        log_lines=facts.log_lines,
        log_lines_dropped=facts.log_lines_dropped,
    )


def _outcome(facts: RunFacts) -> Outcome:
    if not facts.problems and facts.totals.failed == 0:
        return Outcome.GOOD
    return Outcome.PARTIAL if facts.totals.answered else Outcome.FAILED


def _summary(facts: RunFacts) -> str:
    totals = facts.totals
    seconds = max((facts.ended_at - facts.started_at).total_seconds(), 0.0)  # the clock may have been set back
    took = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - seconds read well to there
    counts = [f"{totals.answered:,} of {totals.names:,} commanders answered", f"{totals.written:,} changed"]
    for count, label in (
        (totals.not_found, "not on Inara"),
        (totals.ambiguous, "ambiguous"),
        (totals.failed, "failed"),
    ):
        if count:
            counts.append(f"{count:,} {label}")
    requests = f"{totals.requests:,} request{'' if totals.requests == 1 else 's'}"
    return f"{', '.join(counts)}.\n{requests} in {took} ({facts.reason} run {facts.run_id})."


_GROUPS: tuple[tuple[str, frozenset[ChangeKind]], ...] = (
    ("New commanders", frozenset({ChangeKind.NEW})),
    ("Promotions", frozenset({ChangeKind.PROMOTED})),
    (
        "Squadrons",
        frozenset(
            {
                ChangeKind.SQUADRON_JOINED,
                ChangeKind.SQUADRON_MOVED,
                ChangeKind.SQUADRON_LEFT,
                ChangeKind.SQUADRON_RANK,
            }
        ),
    ),
    ("Powers", frozenset({ChangeKind.POWER})),
    ("Names and accounts", frozenset({ChangeKind.RENAMED, ChangeKind.OTHER_ACCOUNT})),
    ("Other changes", frozenset({ChangeKind.DEMOTED, ChangeKind.RANK_LEARNED})),
)


def _change_sections(facts: RunFacts) -> list[Section]:
    if facts.first:
        return _first_sections(facts.changes)
    found = []
    for title, kinds in _GROUPS:
        changes = [change for change in facts.changes if change.change.kind in kinds]
        if title == "Promotions":
            changes.sort(key=lambda change: -int(change.change.new or 0))
        found.append(Section(title, _entries(changes)))
    return found


def _first_sections(changes: Sequence[CommanderChange]) -> list[Section]:
    """A first report: totals, and of the changes only the most notable."""
    notability = list(ChangeKind)
    ordered = sorted(changes, key=lambda change: notability.index(change.change.kind))
    entries = _entries(ordered)
    return [Section("Most notable", entries[:MOST_NOTABLE], len(entries[MOST_NOTABLE:]))]


def _entries(changes: Iterable[CommanderChange]) -> tuple[Entry, ...]:
    """One line for each commander, in the order in which they come."""
    grouped: dict[str, list[CommanderChange]] = {}
    for change in changes:
        grouped.setdefault(change.name, []).append(change)
    return tuple(
        Entry("; ".join(_told([item.change for item in items])), name, items[-1].url) for name, items in grouped.items()
    )


def _told(changes: Sequence[Change]) -> list[str]:
    """One commander's changes in words; ranks that were merely unknown before are counted, not listed."""
    learned = [change for change in changes if change.kind is ChangeKind.RANK_LEARNED]
    told = [words(change) for change in changes if change.kind is not ChangeKind.RANK_LEARNED]
    return told + (
        [words(learned[0])] if len(learned) == 1 else [f"{len(learned)} ranks first seen"] if learned else []
    )


def _names_section(title: str, names: Sequence[str]) -> Section:
    return Section(title, tuple(Entry("", name) for name in names))


_PROBLEM_TITLES: Mapping[str, str] = {
    "outage": "Inara was away",
    "limited": "Inara's limit",
    "not_whitelisted": "Application not white-listed",
    "bad_key": "Inara key refused",
    "unknown_refusal": "Refused for an unknown reason",
    "incomplete": "Not everyone was covered",
    "bug": "A bug in the daemon",
    "state": "The daemon's own database",
    "name_rejected": "Names that Inara refuses",
    "name_set_aside": "Names that make Inara refuse a whole request",
    "name_unanswered": "Names that Inara did not answer",
    "name_too_long": "Names too long for the table",
}


def _problem_sections(problems: Iterable[Problem]) -> list[Section]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        grouped[problem.kind].append(problem.text)
    return [
        Section(
            f"{_PROBLEM_TITLES.get(kind, kind.replace('_', ' ').capitalize())} ({len(texts)})",
            tuple(Entry(text) for text in texts[:EXAMPLES]),
            max(len(texts) - EXAMPLES, 0),
        )
        for kind, texts in grouped.items()
    ]
