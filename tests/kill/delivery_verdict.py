"""What must be true of reports in the end, whoever was killed and whatever Discord said."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.kill.books import Books, Run, Shown
from tests.kill.channels import GUEST, Channels, wing
from tests.kill.delivery_life import ATTEMPTS
from tests.kill.delivery_tally import DeliveryTally
from tests.kill.stand_in import Violations
from tests.kill.webhook_verdict import of_discord

_SHOWN_TIMES = {"sent": {1}, "unknown": {0, 1}, "dead": {0}, "expired": {0}, "refused": {0}}
_MAY_END = {"unknown": {"504", "524"}, "dead": {"401", "403", "404"}, "refused": {"400"}}
"""The answers after which a message has reached this end."""
_ANSWER = re.compile(r"HTTP (\d+)")
_LOST = frozenset({"unknown", "dead", "expired", "refused"})
_BREAKDOWNS = (
    *("part_crashed", "tenant_crashed", "tenant_unusable", "tenant_stuck", "delivery_crashed", "lead_lost"),
    *("outbox_unusable", "run_left_open", "stop_abandoned"),
)
_MESSAGE = re.compile(r"\bmessage=(\d+)")
_RUN = re.compile(r"\brun[ =](\d+)\b")


def complaints(channels: Channels, books: Books, tally: DeliveryTally, violations: Violations) -> list[str]:
    """Everything that is wrong; an empty list is the proof."""
    return [
        *_of_rows(books),
        *_of_messages(channels, books),
        *_of_changes(channels, books),
        *_of_texts(channels, books),
        *_of_losses(books),
        *_of_reasons(channels, books),
        *_of_secrets(channels),
        *(f"the sandbox's Inara noted: {violation}" for violation in violations.inara),
        *of_discord(channels.stand_in.attempts, violations.discord, tally.deaths, _buried(channels, tally)),
        *(f"a life's log says: {line[:300]}" for line in channels.told(_BREAKDOWNS)),
    ]


def _buried(channels: Channels, tally: DeliveryTally) -> dict[str, float]:
    """Since when each webhook was known to be dead, by its name."""
    fingerprints = channels.fingerprints()
    return {name: tally.buried[mark] for name, mark in fingerprints.items() if mark in tally.buried}


def _of_rows(books: Books) -> Iterator[str]:
    """Each run that tells of itself has exactly one message, and no other has one."""
    rows = Counter(row.run for row in books.rows if row.run is not None)
    for run in books.runs.values():
        wanted = 1 if _reports(run) else 0
        if rows[run.id] != wanted and not (rows[run.id] == 0 and _may_be_silent(run)):
            yield f"{rows[run.id]} messages instead of {wanted} tell of {run}"
    for row in books.rows:
        run_of_row = None if row.run is None else books.runs.get(row.run)
        if row.run is None:
            continue  # log lines
        if run_of_row is None or run_of_row.tenant != row.tenant:
            yield f"message {row.id} of {row.tenant} tells of run {row.run}, which is {run_of_row}"


def _reports(run: Run) -> bool:
    return run.ended_at is not None and run.reason != "discovery" and run.only is None


def _may_be_silent(run: Run) -> bool:
    """A tenant that is removed has its run ended without a report."""
    return run.tenant == GUEST and run.outcome == "incomplete"


def _of_messages(channels: Channels, books: Books) -> Iterator[str]:
    """Each is shown as often as its status says, in its tenant's channel, and nothing else is shown."""
    times = books.times_shown
    for row in books.rows:
        if row.status not in _SHOWN_TIMES:
            yield f"message {row.id} of run {row.run} is still {row.status}"
        elif times[row.id] not in _SHOWN_TIMES[row.status]:
            yield f"message {row.id} of run {row.run} is {row.status}, and is shown {times[row.id]} times"
    for shown in books.shown:
        if shown.row is None:
            yield f"{shown.webhook} shows what nobody reported there: {shown.text[:200]}"
        elif shown.webhook not in channels.webhooks(channels.owns[shown.row.tenant]):
            yield f"{shown.webhook} shows a message of {shown.row.tenant}"


def _of_changes(channels: Channels, books: Books) -> Iterator[str]:
    """Each is told by one report of its tenant, in the text if that is shown; one follows from another to the last."""
    for change in books.changes:
        run = books.runs.get(change.told_by or 0)
        if run is None or run.tenant != change.tenant or not _reports(run):
            yield f"change {change.id} of {change.name} ({change.tenant}) was told by {run}"
    powers = defaultdict(list)
    for change in books.changes:
        if change.kind == "power":
            powers[change.tenant, change.name].append((change.old, change.new))
    for tenant_id, names in channels.names.items():
        for name in names:
            turns = powers[tenant_id, name]
            if any(new != old for (_, new), (old, _) in pairwise(turns)):
                yield f"the changes of {name} do not follow from each other: {turns}"
            now = channels.stand_in.world.find(name).power
            if not turns or turns[-1][1] != now:
                yield f"the last change of {name} should be to {now}: {turns[-1:]}"


def _of_texts(channels: Channels, books: Books) -> Iterator[str]:
    """A report names those whose changes it claimed, and nothing that is another tenant's."""
    claimed = defaultdict(list)
    for change in books.changes:
        claimed[change.told_by].append(change)
    everybody = {name: tenant_id for tenant_id, names in channels.names.items() for name in names}
    for shown in books.shown:
        if shown.row is None:
            continue
        told = claimed[shown.row.run] if shown.row.run is not None else []
        named = {name for name in everybody if name in shown.text}
        wanted = set() if shown.plain else {change.name for change in told}
        if named != wanted:
            yield f"message {shown.row.id} of run {shown.row.run} names {sorted(named)} instead of {sorted(wanted)}"
        powers = [str(change.new) for change in told if change.kind == "power"]
        if not shown.plain and any(power not in shown.text for power in powers):
            yield f"the report of run {shown.row.run} lacks one of {powers}"
        yield from _of_strangers(channels, books, shown, shown.row.tenant)


def _of_strangers(channels: Channels, books: Books, shown: Shown, tenant_id: str) -> Iterator[str]:
    """Names, runs and messages of others."""
    text, tenants = shown.text, {row.id: row.tenant for row in books.rows}
    strangers = [other for other in channels.owns if other != tenant_id and wing(other) in text]
    messages = [number for number in map(int, _MESSAGE.findall(text)) if tenants.get(number) != tenant_id]
    runs = [number for number in map(int, _RUN.findall(text)) if books.runs[number].tenant != tenant_id]
    for what, found in (("tenants", strangers), ("messages", messages), ("runs", runs)):
        if found:
            yield f"a message of {tenant_id} ({shown.webhook}) tells of other tenants' {what}: {found}"


def _of_losses(books: Books) -> Iterator[str]:
    """What was lost before a tenant's last report is named by one that came after it, in words if that is shown."""
    rows = {row.id: row for row in books.rows}
    texts = {shown.row.id: shown.text for shown in books.shown if shown.row is not None and not shown.plain}
    last = {row.tenant: row for row in books.rows if row.run is not None}
    for row in books.rows:
        teller = None if row.told_in is None else rows.get(row.told_in)
        what = f"the loss of message {row.id} of run {row.run} ({row.status})"
        if row.status not in _LOST:
            if row.told_in is not None:
                yield f"message {row.id} of run {row.run} is {row.status}, and was named as lost"
        elif teller is None:
            born = last[row.tenant].created_at if row.tenant in last else None
            if born is not None and row.settled_at is not None and row.settled_at < born:
                yield f"{what} is named by nobody"
        elif teller.tenant != row.tenant or teller.id <= row.id:
            yield f"{what} is named by message {teller.id} of {teller.tenant}"
        elif teller.id in texts and row.run is not None:
            text = texts[teller.id]
            if f"The report of run {row.run} of " not in text and " more since " not in text:
                yield f"{what} is not to be seen in message {teller.id}, which should name it"


def _of_reasons(channels: Channels, books: Books) -> Iterator[str]:
    """Nothing is given up, or cut down to the plain form, that could have arrived."""
    for row in books.rows:
        answers = _MAY_END.get(row.status)
        answer = _ANSWER.match(row.error)
        if answers is not None and answer is not None and answer[1] not in answers:
            yield f"message {row.id} is {row.status} after {row.error}"
        if row.status == "expired" and row.tenant != GUEST and row.attempts < ATTEMPTS - 1:
            yield f"message {row.id} expired after {row.attempts} attempts: {row.error}"
    # A message that one webhook refused may go in the plain form to the one that replaces it.
    refusals = Counter(_squadron(attempt.webhook) for attempt in channels.stand_in.attempts if attempt.answer == "400")
    given_up = Counter(_squadron(shown.webhook) for shown in books.shown if shown.plain)
    for squadron, count in given_up.items():
        if count > refusals[squadron]:
            yield f"{squadron} shows {count} reports in the plain form, and refused {refusals[squadron]}"


def _squadron(webhook: str | None) -> str:
    return (webhook or "").partition("/")[0]


def _of_secrets(channels: Channels) -> Iterator[str]:
    messages, log = json.dumps(channels.stand_in.messages), channels.log.read_text(encoding="utf-8")
    for where, text in (("a message", messages), ("the log", log)):
        bare = text.replace("\\", "")  # an escaped secret is one all the same
        found = [secret for secret in channels.secrets if secret in bare]
        if found:
            yield f"{where} holds {len(found)} secrets: {found[0][:30]}"
