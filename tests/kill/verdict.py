"""What must be true in the end, whatever was killed."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from typing import Any

from inara_daemon.sandbox.world import World
from tests.kill.board import Exchange
from tests.kill.campaign import Tally
from tests.kill.ground import INTERVAL, Ground
from tests.kill.pauses import Pause
from tests.kill.population import Death
from tests.kill.stand_in import Seen

_LATE = 0.05
"""How long after its death the stand-in may notice a request, in seconds."""
_RANKS = {
    "rank_combat": "combat",
    "rank_trade": "trade",
    "rank_explore": "exploration",
    "rank_cqc": "cqc",
    "rank_empire": "empire",
    "rank_federation": "federation",
}
_BREAKDOWNS = ("part_crashed", "tenant_crashed", "tenant_unusable", "tenant_stuck", "delivery_crashed", "lead_lost")


def gaps(arrivals: list[Seen]) -> list[float]:
    """Seconds between each request and the one before, by the stand-in's clock."""
    times = sorted(seen.at for seen in arrivals)
    return [later - earlier for earlier, later in pairwise(times)]


def complaints(ground: Ground, tally: Tally, violations: list[str]) -> list[str]:
    """Everything that is wrong; an empty list is the proof."""
    return [
        *_of_pace(ground.stand_in.arrivals),
        *(f"the sandbox noted: {violation}" for violation in violations),
        *_of_takeovers(ground.stand_in.arrivals, tally.deaths),
        *_of_pauses(ground.stand_in.arrivals, tally.pauses),
        *_of_rows(ground),
        *_of_reports(ground),
        *_of_state(ground),
        *(f"a life's log says: {line[:300]}" for line in ground.told(_BREAKDOWNS)),
        *_of_aim(tally),
    ]


def _of_pace(arrivals: list[Seen]) -> Iterator[str]:
    close = [gap for gap in gaps(arrivals) if gap < INTERVAL]
    if close:
        yield f"{len(close)} requests came too close: {min(close):.4f} s after another, allowed are {INTERVAL:.4f} s"
    refused = Counter(seen.answer for seen in arrivals if seen.answer in {"too_much", "malformed"})
    if refused:
        yield f"Inara refused: {dict(refused)}"


def _of_takeovers(arrivals: list[Seen], deaths: list[Death]) -> Iterator[str]:
    """Who finds a grant left open waits a whole interval: what the dead sent may have arrived up to its death."""
    for death in deaths:
        if death.exchange not in {Exchange.CONNECTING, Exchange.IN_FLIGHT}:
            continue
        hasty = [seen.at - death.at for seen in arrivals if death.gone + _LATE < seen.at < death.at + INTERVAL]
        if hasty:
            yield f"a successor asked {hasty[0]:.4f} s after a death with a request under way, before {INTERVAL:.4f} s"


def _of_pauses(arrivals: list[Seen], pauses: list[Pause]) -> Iterator[str]:
    for pause in pauses:
        early = [seen for seen in arrivals if pause.since < seen.at < pause.until and pause.key in {None, seen.key}]
        if early:
            after = early[0].at - pause.since
            yield f"{len(early)} requests arrived in a pause after {pause.mood}, {after:.2f} s after it began"


def _of_rows(ground: Ground) -> Iterator[str]:
    for tenant_id, names in ground.names.items():
        with closing(sqlite3.connect(ground.database(tenant_id))) as connection:
            connection.row_factory = sqlite3.Row
            rows = {row["name"]: dict(row) for row in connection.execute("SELECT * FROM cmdr")}
        missing = set(names) - rows.keys() - ground.renamed
        if missing or not rows.keys() <= set(names):
            yield f"{tenant_id} has {len(rows)} rows, not {len(names)}: missing are {sorted(missing)}"
        for name in rows.keys() - ground.renamed:
            told, right = rows[name], _row(ground.stand_in.world, name)
            wrong = {column: (told[column], value) for column, value in right.items() if told[column] != value}
            if wrong:
                yield f"{tenant_id}'s row of {name} is wrong: {wrong}"


def _row(world: World, name: str) -> Mapping[str, object]:
    """What a row must say, read off the profile without the daemon's own code."""
    answer = world.answer(name)
    assert answer is not None
    assert answer.profile is not None
    profile: Mapping[str, Any] = answer.profile
    ranks = {rank["rankName"]: rank["rankValue"] for rank in profile["commanderRanksPilot"]}
    return {
        **{column: ranks[ladder] for column, ladder in _RANKS.items()},
        "rank_power": profile["preferredPowerName"],
        "squadron_name": profile["commanderSquadron"]["squadronName"],
        "squadron_rank": profile["commanderSquadron"]["squadronMemberRank"],
    }


def _of_reports(ground: Ground) -> Iterator[str]:
    """A report bears the moment its run ended, to the microsecond: the same one twice is a report doubled."""
    embeds = [(message["webhook"], message["payload"]["embeds"][0]) for message in ground.stand_in.messages]
    shown = Counter((webhook, embed["title"], embed["timestamp"]) for webhook, embed in embeds)
    yield from (f"Discord shows a report {count} times: {report}" for report, count in shown.items() if count > 1)
    twice = ground.ask("SELECT run_id FROM message GROUP BY run_id HAVING count(*) > 1")
    yield from (f"run {run_id} has more than one report" for (run_id,) in twice)
    counts = dict(ground.ask("SELECT status, count(*) FROM message GROUP BY status"))
    if not counts.keys() <= {"sent", "unknown", "expired"}:
        yield f"messages ended as {counts}"
    if not counts.get("sent", 0) <= len(shown) <= sum(counts.values()):
        yield f"Discord shows {len(shown)} reports, the outbox knows of {counts}"


def _of_state(ground: Ground) -> Iterator[str]:
    wrong = {
        "runs are open": "SELECT count(*) FROM run WHERE ended_at IS NULL",
        "rows wait to be written": "SELECT count(*) FROM roster_write",
        "changes are not applied": "SELECT count(*) FROM change WHERE NOT applied",
        "changes were never told": "SELECT count(*) FROM change WHERE report_run_id IS NULL",
        "changes are doubled": "SELECT count(*) FROM (SELECT 1 FROM change"
        " GROUP BY tenant_id, key, kind, ladder, old, new HAVING count(*) > 1)",
        "changes were told by runs that never were": "SELECT count(*) FROM change"
        " WHERE report_run_id NOT IN (SELECT id FROM run)",
        "requests of a sync are unanswered": "SELECT count(*) FROM request WHERE result IS NULL",
        "grants are open": "SELECT count(*) FROM budget WHERE open",
    }
    for what, statement in wrong.items():
        ((count,),) = ground.ask(statement)
        if count:
            yield f"{count} {what}"
    ((granted,),) = ground.ask("SELECT requests FROM budget")
    if granted < len(ground.stand_in.arrivals):
        yield f"{len(ground.stand_in.arrivals)} requests arrived, {granted} were granted"
    ((check,),) = ground.ask("PRAGMA integrity_check")
    if check != "ok":
        yield f"the state database is damaged: {check}"


def _of_aim(tally: Tally) -> Iterator[str]:
    for phase in tally.lacking():
        yield f"only {tally.phases[phase]} kills hit {phase}: {tally.least()} are needed for a proof"
