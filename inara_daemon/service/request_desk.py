"""Serves what other processes ask of the engine through the state database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from inara_daemon.commander import Found, NotFound, Outcome, Rejected, SetAside, Unanswered
from inara_daemon.inara.line import AT_ONCE, Line, Served, Stopped, Trouble
from inara_daemon.inara.pauses import PauseReason
from inara_daemon.nap import nap
from inara_daemon.report import notice, to_json
from inara_daemon.service.dry_run import DryRun
from inara_daemon.service.duty import Duty, duty_for
from inara_daemon.service.services import Services
from inara_daemon.service.supervisor import Supervisor
from inara_daemon.service.tenant_task import RunRequest
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import outbox, runs
from inara_daemon.store.state.requests import Request, RequestKind, RequestTable
from inara_daemon.tenants import Tenant

POLL_SECONDS = 0.5
LOOK_SECONDS = 10.0
"""How often to look although nothing seems to have been written: a file's time is not fine enough to trust it alone."""
OWN_PROFILE = ""
"""The name that asks for the profile of the key's owner: the cheapest way to try a key."""

_UNKNOWN_TENANT = "the running daemon does not know this tenant: reload it first"

_Say = Callable[[Mapping[str, Any]], Awaitable[None]]
_log = structlog.get_logger("inara_daemon.requests")


class _LeftError(Exception):
    """The request is not served any further."""


@dataclass(slots=True)
class RequestDesk:
    """Takes each request once, serves it in a task of its own, and says how far it is.

    What this engine's duty does not include is left to the next engine.
    """

    services: Services
    supervisor: Supervisor
    tenants: Callable[[], Mapping[str, Tenant]]
    duty: Duty
    _tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Look for requests until stopped."""
        table = RequestTable(self.services.state)
        failing = False
        seen, look_at = object(), 0.0
        while not self._stopping.is_set():
            stamp, now = self.services.state.stamp(), asyncio.get_running_loop().time()
            if stamp != seen or now >= look_at:
                try:
                    await self._take(table)
                    failing, seen, look_at = False, stamp, now + LOOK_SECONDS
                except DatabaseError as error:
                    if not failing:
                        _log.warning("requests_unreadable", error=str(error))
                    failing = True
            await nap(self._stopping, POLL_SECONDS)

    async def _take(self, table: RequestTable) -> None:
        self._tasks = {number: task for number, task in self._tasks.items() if not task.done()}
        for request in await table.unfinished():
            if request.id not in self._tasks and duty_for(request.kind) <= self.duty:
                name = f"request {request.id}"
                self._tasks[request.id] = asyncio.create_task(self._serve(table, request), name=name)

    async def stop(self) -> None:
        """Leave what is unfinished to the next engine; nothing is cancelled amid a transaction."""
        self._stopping.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _serve(self, table: RequestTable, request: Request) -> None:
        serve = {
            RequestKind.SYNC: self._sync,
            RequestKind.DRY_RUN: self._dry_run,
            RequestKind.VALIDATE_KEYS: self._validate_keys,
            RequestKind.TEST_WEBHOOK: self._test_webhook,
        }[request.kind]

        async def say(progress: Mapping[str, Any]) -> None:
            if self._stopping.is_set():
                raise _LeftError("the engine stops")
            if not await table.save_progress(request.id, progress):
                raise _LeftError("whoever asked has left")

        _log.info("request_taken", request=request.id, kind=request.kind.value)
        try:
            result = await serve(request, say)
            await table.finish(request.id, result)
        except _LeftError as left:
            _log.info("request_left", request=request.id, reason=str(left))
        except DatabaseError as error:
            _log.error("request_failed", request=request.id, error=str(error))
            await nap(self._stopping, POLL_SECONDS)  # it is still unfinished, and is tried again

    def _wanted(self, request: Request) -> Sequence[str]:
        """The ids of the tenants asked for: all, unless some were named."""
        named: Sequence[str] | None = request.arguments.get("tenants")
        return list(self.tenants()) if named is None else named

    def _chosen(self, request: Request) -> tuple[Mapping[str, Tenant], dict[str, str]]:
        """The tenants asked for, and why one can't be served."""
        tenants = self.tenants()
        wanted = self._wanted(request)
        unknown = {tenant_id: _UNKNOWN_TENANT for tenant_id in wanted if tenant_id not in tenants}
        return {tenant_id: tenants[tenant_id] for tenant_id in wanted if tenant_id in tenants}, unknown

    async def _sync(self, request: Request, say: _Say) -> Mapping[str, Any]:
        """Runs by tenant, and why a tenant has none: `runs` and `problems`."""
        wanted = self._wanted(request)
        names = request.arguments.get("names")
        only = None if names is None else tuple(names)
        loop = asyncio.get_running_loop()
        asked = {tenant_id: RunRequest(request.id, only, loop.create_future()) for tenant_id in wanted}
        problems: dict[str, str] = {}
        while True:
            ended = await self._ended_runs(request.id)
            ended |= {tenant_id: each.done.result() for tenant_id, each in asked.items() if each.done.done()}
            open_ids = [tenant_id for tenant_id in wanted if tenant_id not in ended | problems]
            if not open_ids:
                return {"runs": ended, "problems": problems}
            for tenant_id in open_ids:  # again each time: a reload or a crash replaces the task that was asked
                problem = self._ask(tenant_id, asked[tenant_id])
                if problem is not None:
                    problems[tenant_id] = problem
            await say(self._run_progress(wanted, open_ids))
            await asyncio.wait([asked[tenant_id].done for tenant_id in open_ids], timeout=POLL_SECONDS)

    async def _ended_runs(self, request_id: int) -> dict[str, int]:
        """What an engine before, or a task that crashed afterwards, has done already."""
        async with self.services.state.read() as connection:
            serving = await runs.of_request(connection, request_id)
        return {run.tenant_id: run.id for run in serving if run.ended_at is not None}

    def _ask(self, tenant_id: str, request: RunRequest) -> str | None:
        """Hand the request to the tenant's task; why that can't be, if it can't."""
        if self.supervisor.ask(tenant_id, request):
            return None
        return self.supervisor.trouble(tenant_id) if tenant_id in self.tenants() else _UNKNOWN_TENANT

    def _run_progress(self, wanted: Sequence[str], open_ids: Collection[str]) -> Mapping[str, Any]:
        tasks = self.supervisor.tasks
        progress = {}
        for tenant_id in wanted:
            current = tasks[tenant_id].current if tenant_id in tasks else None
            progress[tenant_id] = {
                "done": tenant_id not in open_ids,
                "trouble": current.patience.trouble if current is not None else None,
                **(current.counts() if current is not None else {}),
                **self._waiting(tenant_id),
            }
        return {"tenants": progress}

    def _waiting(self, tenant_id: str) -> Mapping[str, Any]:
        """When the next request can leave for this tenant, and which pause holds it back."""
        tenant = self.tenants().get(tenant_id)
        if tenant is None:
            return {}
        fingerprint = self.services.state.fingerprint(tenant.inara_api_key)
        seconds = self.services.desk.next_request_in(fingerprint)
        pause = self.services.pauses.in_force(fingerprint)
        return {
            "next_request_in": None if seconds == float("inf") else round(seconds, 1),
            "paused": None if pause is None else pause.reason,
        }

    async def _dry_run(self, request: Request, say: _Say) -> Mapping[str, Any]:
        chosen, unknown = self._chosen(request)
        runs = {name: DryRun(self.services, tenant, request.arguments.get("names")) for name, tenant in chosen.items()}
        tasks = {name: asyncio.create_task(run.execute(), name=f"dry run {name}") for name, run in runs.items()}
        try:
            while not all(task.done() for task in tasks.values()):
                progress = {
                    name: {"done": tasks[name].done(), **run.counts(), **self._waiting(name)}
                    for name, run in runs.items()
                }
                await say({"tenants": progress})
                await asyncio.wait(tasks.values(), timeout=POLL_SECONDS)
        finally:
            for task in tasks.values():
                task.cancel()
        return {"tenants": {name: task.result() for name, task in tasks.items()}, "problems": unknown}

    async def _validate_keys(self, request: Request, say: _Say) -> Mapping[str, Any]:
        """Try keys, known by their fingerprints, with one lookup each."""
        keys = {self.services.state.fingerprint(tenant.inara_api_key): tenant for tenant in self.tenants().values()}
        results: dict[str, list[str]] = {}
        for fingerprint in request.arguments["fingerprints"]:
            await say({"tried": len(results)})
            if fingerprint not in keys:
                results[fingerprint] = ["unknown", "the running daemon does not know this key yet: reload it first"]
            else:
                results[fingerprint] = await self._try_key(keys[fingerprint], fingerprint)
        return {"keys": results}

    async def _try_key(self, tenant: Tenant, fingerprint: str) -> list[str]:
        pause = self.services.pauses.in_force(fingerprint)
        if pause is not None:
            refused = pause.reason == PauseReason.BAD_KEY
            return [pause.reason, "Inara refused it" if refused else "not tried, as requests are paused"]
        since = self.services.desk.requests
        wanted = {OWN_PROFILE: OWN_PROFILE}
        key = tenant.inara_api_key
        line = Line(tenant.id, key, fingerprint, since, wanted=wanted, alone=frozenset(wanted), turn=AT_ONCE)
        with self.services.desk.line(line):
            while True:
                heard = line.heard()
                if isinstance(heard, Served):
                    return _verdict(heard.outcomes[OWN_PROFILE])
                if isinstance(heard, Stopped):
                    return [heard.reason, heard.text]
                if isinstance(heard, Trouble):
                    return [heard.failure.value, heard.text]
                if self._stopping.is_set():
                    raise _LeftError("the engine stops")
                await line.listen(POLL_SECONDS)

    async def _test_webhook(self, request: Request, _say: _Say) -> Mapping[str, Any]:
        chosen, unknown = self._chosen(request)
        sent: dict[str, int] = {}
        now = self.services.clock.now()
        for destination, (name, text) in self._whose_webhooks(request, chosen).items():
            body = to_json(notice(name, f"{name}: test message", f"This is a test: {text} will arrive here.", now))
            async with self.services.state.write() as connection:
                sent[destination] = await outbox.enqueue(
                    connection, tenant_id=destination, body=body, now=now, request_id=request.id
                )
        self.services.wake_outbox()
        without = [tenant_id for tenant_id in chosen if tenant_id not in sent]
        return {"messages": sent, "without_webhook": without, "problems": unknown}

    def _whose_webhooks(self, request: Request, chosen: Mapping[str, Tenant]) -> dict[str, tuple[str, str]]:
        """Each destination to be tried, with its name and what it is there for."""
        found = {
            tenant_id: (tenant.name, "reports of commander runs")
            for tenant_id, tenant in chosen.items()
            if tenant.webhook is not None
        }
        if request.arguments.get("operator") and self.services.settings.operator_webhook is not None:
            found[outbox.OPERATOR] = ("Inara daemon", "what the operator should know")
        return found


def _verdict(outcome: Outcome) -> list[str]:
    """What the answer to a question for the key's owner says of the key: whoever is told of nobody was let in."""
    match outcome:
        case Found() | NotFound():
            return ["ok", "Inara accepts it"]
        case Rejected(text) | SetAside(text):
            return ["refused", text]
        case Unanswered():
            return ["unanswered", "Inara's answers lack what was asked for"]
