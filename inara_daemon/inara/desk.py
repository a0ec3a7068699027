"""The one counter where all tenants queue: when a token comes, the desk picks the key and fills the batch."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog

from inara_daemon.commander import Outcome, SetAside, Unanswered
from inara_daemon.inara.budget import Budget, Grant
from inara_daemon.inara.decision import Decision, Failure, Names
from inara_daemon.inara.line import NIGHT_SPENT, Batch, Line, Served, Stopped, Trouble
from inara_daemon.inara.lines import Lines
from inara_daemon.inara.pauses import Pauses
from inara_daemon.inara.reaction import Reaction
from inara_daemon.inara.suspicion import NO_SUSPICION
from inara_daemon.inara.wire import Answers, Reply
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
_QUIET_SECONDS = 1.0
"""With so long until the next request, there is time for what would hold one up."""

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
        quiet: Callable[[], None] = lambda: None,
    ) -> None:
        self._budget = budget
        self._pauses = pauses
        self._client = client
        self._batch_size = batch_size
        self._reaction = Reaction(pauses, batch_size)
        self._alive = alive
        self._quiet = quiet
        self._lines = Lines()
        self._readers: list[float] = []
        self._recent: dict[tuple[str, str], tuple[int, Outcome]] = {}
        self._changed = asyncio.Event()
        self._under_way = 0
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
        self._lines.add(line)
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
        """Requests that are over, by every engine of this state database: the answer under way is yet to come."""
        return self._budget.requests - self._under_way

    @property
    def interval(self) -> float:
        """Seconds between two requests."""
        return self._budget.interval

    def next_request_in(self, fingerprint: str) -> float:
        """Seconds until a request with this key could leave; infinite for a refused key."""
        return max(self._budget.wait_seconds(), self._pauses.wait_seconds(fingerprint))

    async def run(self) -> None:
        """Serve until stopped. Nothing is sent while the state database can't be written."""
        try:
            while not self._stopping:
                self._alive()
                wait = self._wait()
                if wait > 0:
                    await self._save_budget()
                    if wait > _QUIET_SECONDS:
                        self._quiet()
                    await self._nap(self._wait())
                    continue
                await self._await_readers()
                await self._serve_one()
        finally:
            await asyncio.shield(self._save_budget())

    def _wait(self) -> float:
        request = self._budget.requests + 1
        keys = (key for key in self._lines.fingerprints() if self._lines.may_ask(key, request))
        pause = min((self._pauses.wait_seconds(key) for key in keys), default=math.inf)
        return max(self._budget.wait_seconds(), pause)

    async def _nap(self, seconds: float) -> None:
        self._changed.clear()
        await nap(self._changed, min(max(seconds, _SHORTEST_NAP_SECONDS), _LONGEST_NAP_SECONDS))

    async def _await_readers(self) -> None:
        """Let those who were woken a moment ago finish reading, unless the batch is full without them."""
        loop = asyncio.get_running_loop()
        end = loop.time() + READING_PATIENCE_SECONDS
        while (wait := min(max(self._readers, default=0.0), end) - loop.time()) > 0:
            if self._stopping or self._has_full_batch():
                return
            await self._nap(wait)

    async def _serve_one(self) -> None:
        grant = await self._grant()
        if grant is None:
            return
        batch = None if self._stopping else self._pick(grant)
        if batch is None:
            self._budget.settle(grant, sent=False)
            self._stop_spent()  # the count went on all the same
            return
        for line in batch.lines:
            line.in_flight = True
        self._under_way = 1
        try:
            try:
                reply = await self._client.lookup(batch.key, tuple(batch.names.values()))
            finally:
                self._budget.settle(grant, sent=True)
            await self._act(batch, grant, reply)
        finally:
            self._under_way = 0
            for line in batch.lines:
                line.in_flight = False
                line.poke()
            self._stop_spent()

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

    async def _save_budget(self) -> None:
        try:
            await self._budget.save()
        except Exception as error:  # noqa: BLE001 - memory knows; the next grant needs a write that works
            self.note_unwritable(error)

    def _pick(self, grant: Grant) -> Batch | None:
        """Fill a batch for the key whose tenant is next in turn."""
        leader = next((line for line in self._lines if self._may_lead(line, grant.number)), None)
        if leader is None:
            return None
        key = leader.fingerprint
        size = min(self._pauses.batch_limit(key) or self._batch_size, self._batch_size)
        names = self._lines.fill(key, grant.number, self._pauses.suspicion(key), size)
        return Batch(leader, names, self._lines.carried(key, names))

    def _may_lead(self, line: Line, request: int) -> bool:
        return line.may_have(request) and self._pauses.wait_seconds(line.fingerprint) == 0

    def _has_full_batch(self) -> bool:
        request, size = self._budget.requests + 1, self._batch_size
        keys = self._lines.fingerprints()
        return any(len(self._lines.fill(key, request, NO_SUSPICION, size)) == size for key in keys)

    async def _act(self, batch: Batch, grant: Grant, reply: Reply) -> None:
        decision = self._reaction.decide(batch, reply)
        if isinstance(reply, Answers):  # who waits need not wait until it is noted that all is well
            self._lines.end_turn(batch.leader, grant.number)
            self._deliver(batch, grant.number, reply)
        await self._reaction.take(batch, decision, reply)
        if not isinstance(reply, Answers):
            self._tell(batch, grant.number, decision, reply.text)

    def _deliver(self, batch: Batch, request: int, answers: Answers) -> None:
        """Hand each answer to every line that waits for the name; who lacks one tries again, three times in all."""
        names = tuple(batch.names)
        answered = {names[index]: outcome for index, outcome in answers.outcomes.items() if index < len(names)}
        self._serve_all(batch, request, answered)
        if not self._readers:
            self._recent.clear()
        else:
            self._recent.update({(batch.fingerprint, name): (request, outcome) for name, outcome in answered.items()})
        for name in batch.names.keys() - answered.keys():
            for line in self._lines.carried(batch.fingerprint, (name,)):
                self._try_again(line, name, request)

    def _try_again(self, line: Line, name: str, request: int) -> None:
        """A good reply lacked the name."""
        if name not in line.wanted:
            self._lines.give_up(line, name)
        elif line.count_try(name) >= UNANSWERED_TRIES:
            self._lines.give_up(line, name)
            line.tell(Served(request, {name: Unanswered()}))
        else:
            line.wanted[name] = line.wanted.pop(name)  # to the end, so that others are not held up

    def _serve_all(self, batch: Batch, request: int, outcomes: Mapping[str, Outcome]) -> None:
        for line, served in self._lines.take(batch.fingerprint, request, outcomes).items():
            line.tell(served)

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

    def _tell(self, batch: Batch, request: int, decision: Decision, text: str) -> None:
        """Say to the lines that were carried what happened to their names."""
        failure = decision.failure or Failure.OUTAGE
        if decision.names is Names.CULPRIT:
            self._serve_all(batch, request, dict.fromkeys(batch.names, SetAside(text)))
        elif decision.names is Names.BLOCKED:
            for line in self._lines.of_key(batch.fingerprint):
                self._lines.close(line)
                line.tell(Stopped(failure.value, text))
        else:
            for line in batch.lines:
                line.tell(Trouble(failure, text))

    def _stop_spent(self) -> None:
        """Close the lines whose share of the night is spent."""
        for line in self._lines:
            if line.in_flight or not line.wanted or line.last_request is None:
                continue
            if self._budget.requests >= line.last_request:
                self._lines.close(line)
                line.tell(Stopped(NIGHT_SPENT, "the night's share of requests is spent"))
