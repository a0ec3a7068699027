"""The one counter where all tenants queue: when a token comes, the desk picks the key and fills the batch."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog

from inara_daemon.commander import Outcome, Rejected, Unanswered
from inara_daemon.inara.budget import Budget, Grant
from inara_daemon.inara.decision import LONGEST_RETRY_AFTER, Decision, Failure, Names, decide
from inara_daemon.inara.line import NIGHT_SPENT, Batch, Line, Served, Stopped, Trouble, fill
from inara_daemon.inara.pauses import Pauses
from inara_daemon.inara.wire import Answers, Outage, Refusal, Reply
from inara_daemon.nap import nap
from inara_daemon.settings import Secret

READING_PATIENCE_SECONDS = 1.0
"""How long a token waits for tenants that are still reading their names, so that the batch is full."""
UNANSWERED_TRIES = 3
_LONGEST_NAP_SECONDS = 10.0
"""The desk looks up at least this often, so that somebody can see that it lives."""
_SHORTEST_NAP_SECONDS = 0.001
"""A wait may be too short for a float to tell: never look again at the same instant."""
_UNWRITABLE_NAP_SECONDS = 5.0

_log = structlog.get_logger("inara_daemon.desk")


class Client(Protocol):
    """One request to Inara."""

    async def lookup(self, key: Secret, names: Sequence[str]) -> Reply:
        """Ask for these names; a failure is a value, not an exception."""


class Desk:
    """Serves every open line, in fair turns, one request per token."""

    def __init__(
        self,
        budget: Budget,
        pauses: Pauses,
        client: Client,
        *,
        batch_size: int,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget = budget
        self._pauses = pauses
        self._client = client
        self._batch_size = batch_size
        self._alive = alive
        self._lines: list[Line] = []
        self._readers: list[float] = []
        self._recent: dict[tuple[str, str], tuple[int, Outcome]] = {}
        self._changed = asyncio.Event()
        self._stopping = False
        self._unwritable = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A tenant is reading its names: a token waits a moment for it, and what is answered meanwhile is kept."""
        until = asyncio.get_running_loop().time() + READING_PATIENCE_SECONDS
        self._readers.append(until)
        try:
            yield
        finally:
            self._readers.remove(until)
            self._changed.set()

    @contextmanager
    def line(self, line: Line) -> Iterator[None]:
        """Stand in line for the length of the block; what is not answered by then is forgotten."""
        self._serve_recent(line)
        self._lines.append(line)
        self._stop_spent()
        self._changed.set()
        try:
            yield
        finally:
            self._lines.remove(line)

    def wake(self) -> None:
        """Look again at once: a pause was lifted."""
        self._changed.set()

    def stop(self) -> None:
        """Start nothing new; a request under way ends by itself."""
        self._stopping = True
        self._changed.set()

    def note_unwritable(self, error: Exception) -> None:
        """Somebody could not write the state database: said once, until a grant shows that it is back."""
        if not self._unwritable:
            _log.error("state_unwritable", error=str(error), action="nothing is sent until it can be written again")
        self._unwritable = True

    @property
    def requests(self) -> int:
        """Requests sent so far, by every engine of this state database."""
        return self._budget.requests

    @property
    def interval(self) -> float:
        """Seconds between two requests."""
        return self._budget.interval

    def next_request_in(self, fingerprint: str) -> float:
        """Seconds until a request with this key could leave; infinite for a refused key."""
        return max(self._budget.wait_seconds(), self._pauses.wait_seconds(fingerprint))

    async def run(self) -> None:
        """Serve until stopped. Nothing is sent while the state database can't be written."""
        while not self._stopping:
            self._alive()
            wait = self._wait()
            if wait > 0:
                await self._nap(wait)
                continue
            await self._await_readers()
            await self._serve_one()

    def _wait(self) -> float:
        keys = {line.fingerprint for line in self._lines if _may_have(line, self._budget.requests + 1)}
        return min((self.next_request_in(key) for key in keys), default=_LONGEST_NAP_SECONDS)

    async def _nap(self, seconds: float) -> None:
        self._changed.clear()
        await nap(self._changed, min(max(seconds, _SHORTEST_NAP_SECONDS), _LONGEST_NAP_SECONDS))

    async def _await_readers(self) -> None:
        """Let those who were woken a moment ago finish reading, unless the batch is full without them."""
        loop = asyncio.get_running_loop()
        while not self._stopping and not self._has_full_batch():
            wait = max(self._readers, default=0.0) - loop.time()
            if wait <= 0:
                return
            await self._nap(wait)

    async def _serve_one(self) -> None:
        grant = await self._grant()
        if grant is None:
            return
        batch = None if self._stopping else self._pick(grant)
        if batch is None:
            await self._settle(grant, sent=False)
            return
        for line in batch.lines:
            line.in_flight = True
        try:
            try:
                reply = await self._client.lookup(batch.key, tuple(batch.names.values()))
            finally:
                await asyncio.shield(self._settle(grant, sent=True))
            await self._act(batch, grant, reply)
        finally:
            for line in batch.lines:
                line.in_flight = False
                line.poke()

    async def _grant(self) -> Grant | None:
        """A token, if the state database can remember that it was taken."""
        try:
            await self._pauses.save()
            grant = await self._budget.grant()
        except Exception as error:  # noqa: BLE001 - whatever the store raises, nothing may be sent
            self.note_unwritable(error)
            await self._nap(_UNWRITABLE_NAP_SECONDS)
            return None
        if self._unwritable:
            _log.info("state_writable")
            self._unwritable = False
        return grant

    async def _settle(self, grant: Grant, *, sent: bool) -> None:
        try:
            await self._budget.settle(grant, sent=sent)
        except Exception as error:  # noqa: BLE001 - memory knows; the next grant needs a write that works
            self.note_unwritable(error)

    def _pick(self, grant: Grant) -> Batch | None:
        """Fill a batch for the key whose tenant is next in turn, a name of each tenant at a time."""
        served = [
            line
            for line in self._lines
            if _may_have(line, grant.number) and self._pauses.wait_seconds(line.fingerprint) == 0
        ]
        if not served:
            return None
        first = served[0]
        peers = [line for line in served if line.fingerprint == first.fingerprint]
        size = min(self._pauses.batch_limit(first.fingerprint) or self._batch_size, self._batch_size)
        names = fill({}, [line.wanted for line in peers], size)
        names = fill(names, [line.fillers for line in peers], size)
        carried = tuple(
            line
            for line in self._lines
            if line.fingerprint == first.fingerprint and names.keys() & (line.wanted.keys() | line.fillers.keys())
        )
        return Batch(first.key, first.fingerprint, names, carried)

    def _has_full_batch(self) -> bool:
        waiting: dict[str, set[str]] = {}
        for line in self._lines:
            waiting.setdefault(line.fingerprint, set()).update(line.wanted)
        return any(len(names) >= self._batch_size for names in waiting.values())

    def _take_turn(self, batch: Batch) -> None:
        """Those who were served go to the end of the queue of tenants."""
        served = [line for line in self._lines if line in batch.lines]
        self._lines = [line for line in self._lines if line not in batch.lines] + served

    async def _act(self, batch: Batch, grant: Grant, reply: Reply) -> None:
        decision = decide(reply, batch=len(batch.names), outages_before=self._pauses.outages)
        await self._note_outage(decision, reply)
        if isinstance(reply, Answers):
            self._take_turn(batch)
            self._deliver(batch, grant.number, reply)
            await self._remember(self._pauses.worked(batch.fingerprint, self._batch_size))
            if reply.retry_after:
                await self._remember(self._pauses.asked_to_wait(min(reply.retry_after, LONGEST_RETRY_AFTER)))
        else:
            if isinstance(reply, Refusal):
                await self._hold(batch, decision, reply)
            self._tell(batch, grant.number, decision, reply.text)
        self._stop_spent()

    async def _note_outage(self, decision: Decision, reply: Reply) -> None:
        """Hold everything after an outage, and say when outages begin and when they end."""
        before = self._pauses.outages
        if isinstance(reply, Outage):
            if not before:
                _log.warning("outage_began", error=reply.text)
            await self._remember(self._pauses.outage(reply.text, decision.delay))
            return
        if before:
            _log.info("outage_ended", failed_requests=before)
        await self._remember(self._pauses.outage_ended())

    def _deliver(self, batch: Batch, request: int, answers: Answers) -> None:
        """Hand each answer to every line that waits for the name; who lacks one tries again, three times in all."""
        names = tuple(batch.names)
        answered = {names[index]: outcome for index, outcome in answers.outcomes.items() if index < len(names)}
        self._serve_all(batch, request, answered)
        if not self._readers:
            self._recent.clear()
        else:
            self._recent.update({(batch.fingerprint, name): (request, outcome) for name, outcome in answered.items()})
        for line in self._lines_of(batch.fingerprint):
            for name in names:
                spelling = line.wanted.get(name)
                if name in answered or spelling is None:
                    line.fillers.pop(name, None)
                elif line.count_try(name) >= UNANSWERED_TRIES:
                    line.take(name)
                    line.tell(Served(request, {name: Unanswered()}))
                else:
                    line.wanted[name] = line.wanted.pop(name)  # to the end, so that others are not held up

    def _serve_all(self, batch: Batch, request: int, outcomes: Mapping[str, Outcome]) -> None:
        for line in self._lines_of(batch.fingerprint):
            mine = {name: outcome for name, outcome in outcomes.items() if line.take(name)}
            if mine:
                line.tell(Served(request, mine))

    def _serve_recent(self, line: Line) -> None:
        """Who read its names while others were answered need not ask for the same ones again."""
        served: dict[int, dict[str, Outcome]] = defaultdict(dict)
        for name in (*line.wanted, *line.fillers):
            request, outcome = self._recent.get((line.fingerprint, name), (0, None))
            if outcome is not None and request > line.since:
                line.take(name)
                served[request][name] = outcome
        for request, outcomes in served.items():
            line.tell(Served(request, outcomes))

    def _lines_of(self, fingerprint: str) -> tuple[Line, ...]:
        return tuple(line for line in self._lines if line.fingerprint == fingerprint)

    async def _hold(self, batch: Batch, decision: Decision, refusal: Refusal) -> None:
        """Pause what the refusal concerns."""
        if decision.failure is Failure.LIMITED:
            pausing = self._pauses.limited(refusal.text, refusal.retry_after)
        elif decision.failure is Failure.NOT_WHITELISTED:
            pausing = self._pauses.not_whitelisted()
        elif decision.failure is Failure.BAD_KEY:
            pausing = self._pauses.bad_key(batch.fingerprint, refusal.text)
        else:
            pausing = self._pauses.unknown_refusal(
                batch.fingerprint, refusal.text, len(batch.names), refusal.retry_after
            )
        _log.error("request_refused", failure=decision.failure, key=batch.fingerprint, error=refusal.text)
        await self._remember(pausing)

    def _tell(self, batch: Batch, request: int, decision: Decision, text: str) -> None:
        """Say to the lines that were carried what happened to their names."""
        failure = decision.failure or Failure.OUTAGE
        if decision.names is Names.CULPRIT:
            self._serve_all(batch, request, dict.fromkeys(batch.names, Rejected(text)))
        elif decision.names is Names.BLOCKED:
            for line in self._lines_of(batch.fingerprint):
                line.wanted.clear()
                line.tell(Stopped(failure.value, text))
        else:
            for line in batch.lines:
                line.tell(Trouble(failure, text))

    def _stop_spent(self) -> None:
        """Close the lines whose share of the night is spent."""
        for line in self._lines:
            if line.wanted and line.last_request is not None and self._budget.requests >= line.last_request:
                line.wanted.clear()
                line.tell(Stopped(NIGHT_SPENT, "the night's share of requests is spent"))

    async def _remember(self, pausing: Awaitable[object]) -> None:
        """Wait for a pause to be stored; it is honoured at once, and nothing is sent before it is stored."""
        try:
            await pausing
        except Exception as error:  # noqa: BLE001 - the store's own exceptions are unknown here
            _log.error("pause_unsaved", error=str(error))


def _may_have(line: Line, request: int) -> bool:
    """Whether a request may be spent on this line: it waits for somebody, and its share of the night allows it."""
    return bool(line.wanted) and (line.last_request is None or request <= line.last_request)
