"""Serves what other processes ask of the engine through the state database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from inara_daemon.inara.line import Line, Served, Stopped, Trouble
from inara_daemon.inara.pauses import PauseReason
from inara_daemon.report import notice, to_json
from inara_daemon.service.dry_run import DryRun
from inara_daemon.service.services import Services
from inara_daemon.service.supervisor import Supervisor
from inara_daemon.service.tenant_task import RunRequest
from inara_daemon.store.errors import DatabaseError
from inara_daemon.store.state import outbox
from inara_daemon.store.state.requests import Request, RequestKind, RequestTable
from inara_daemon.tenants import Tenant

POLL_SECONDS = 0.5
OWN_PROFILE = ""
"""The name that asks for the profile of the key's owner: the cheapest way to try a key."""

_log = structlog.get_logger("inara_daemon.requests")


@dataclass(slots=True)
class RequestDesk:
    """Takes each request once, serves it in a task of its own, and says how far it is."""

    services: Services
    supervisor: Supervisor
    tenants: Callable[[], Mapping[str, Tenant]]
    _tasks: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look for requests until cancelled."""
        table = RequestTable(self.services.state)
        failing = False
        while True:
            try:
                for request in await table.unfinished():
                    if request.id not in self._tasks:
                        name = f"request {request.id}"
                        self._tasks[request.id] = asyncio.create_task(self._serve(table, request), name=name)
                failing = False
            except DatabaseError as error:
                if not failing:
                    _log.warning("requests_unreadable", error=str(error))
                failing = True
            self._tasks = {number: task for number, task in self._tasks.items() if not task.done()}
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Leave what is unfinished to the next engine."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _serve(self, table: RequestTable, request: Request) -> None:
        serve = {
            RequestKind.SYNC: self._sync,
            RequestKind.DRY_RUN: self._dry_run,
            RequestKind.VALIDATE_KEYS: self._validate_keys,
            RequestKind.TEST_WEBHOOK: self._test_webhook,
        }[request.kind]
        _log.info("request_taken", request=request.id, kind=request.kind.value)
        try:
            result = await serve(table, request)
            await table.finish(request.id, result)
        except DatabaseError as error:
            _log.error("request_failed", request=request.id, error=str(error))
            await asyncio.sleep(POLL_SECONDS)  # it is still unfinished, and is tried again

    def _chosen(self, request: Request) -> Mapping[str, Tenant]:
        tenants = self.tenants()
        wanted = request.arguments.get("tenants")
        return tenants if wanted is None else {name: tenants[name] for name in wanted if name in tenants}

    async def _sync(self, table: RequestTable, request: Request) -> Mapping[str, Any]:
        names = request.arguments.get("names")
        only = None if names is None else tuple(names)
        runs: dict[str, asyncio.Future[int]] = {}
        for tenant_id in self._chosen(request):
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            if self.supervisor.ask(tenant_id, RunRequest(request.id, only, done)):
                runs[tenant_id] = done
        while not all(done.done() for done in runs.values()):
            await table.save_progress(request.id, self._run_progress(runs))
            await asyncio.wait(runs.values(), timeout=POLL_SECONDS)
        return {"runs": {tenant_id: done.result() for tenant_id, done in runs.items()}}

    def _run_progress(self, runs: Mapping[str, asyncio.Future[int]]) -> Mapping[str, Any]:
        tasks = self.supervisor.tasks
        tenants = {}
        for tenant_id, done in runs.items():
            current = tasks[tenant_id].current if tenant_id in tasks else None
            tenants[tenant_id] = {
                "done": done.done(),
                "run": current.run.id if current is not None else None,
                **(current.counts() if current is not None else {}),
            }
        chosen = [tasks[tenant_id].tenant for tenant_id in runs if tenant_id in tasks]
        return {"tenants": tenants, **self._waiting(chosen)}

    def _waiting(self, tenants: list[Tenant]) -> Mapping[str, Any]:
        """When the next request can leave for these tenants, and what holds it back."""
        fingerprints = {self.services.state.fingerprint(tenant.inara_api_key) for tenant in tenants}
        waits = {key: self.services.desk.next_request_in(key) for key in fingerprints}
        if not waits:
            return {}
        soonest = min(waits, key=lambda key: waits[key])
        pause = self.services.pauses.in_force(soonest)
        return {
            "next_request_in": None if waits[soonest] == float("inf") else round(waits[soonest], 1),
            "paused": None if pause is None else pause.reason,
            "outage": self.services.desk.outage,
        }

    async def _dry_run(self, table: RequestTable, request: Request) -> Mapping[str, Any]:
        chosen = self._chosen(request)
        counts: dict[str, dict[str, int]] = {}

        async def dry(tenant: Tenant) -> Mapping[str, Any]:
            def note(answered: int, names: int) -> None:
                counts[tenant.id] = {"answered": answered, "names": names}

            return await DryRun(self.services, tenant, request.arguments.get("names"), note).execute()

        tasks = {name: asyncio.create_task(dry(tenant), name=f"dry run {name}") for name, tenant in chosen.items()}
        try:
            while not all(task.done() for task in tasks.values()):
                progress = {"tenants": counts, **self._waiting(list(chosen.values()))}
                await table.save_progress(request.id, progress)
                await asyncio.wait(tasks.values(), timeout=POLL_SECONDS)
        finally:
            for task in tasks.values():
                task.cancel()
        return {"tenants": {name: task.result() for name, task in tasks.items()}}

    async def _validate_keys(self, table: RequestTable, request: Request) -> Mapping[str, Any]:
        """Try keys, known by their fingerprints, with one lookup each."""
        keys = {self.services.state.fingerprint(tenant.inara_api_key): tenant for tenant in self.tenants().values()}
        results: dict[str, list[str]] = {}
        for fingerprint in request.arguments["fingerprints"]:
            await table.save_progress(request.id, {"tried": len(results), **self._waiting([])})
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
        line = Line(tenant.id, tenant.inara_api_key, fingerprint, wanted={OWN_PROFILE: OWN_PROFILE})
        with self.services.desk.line(line):
            while True:
                heard = line.heard()
                if isinstance(heard, Served):
                    return ["ok", "Inara accepts it"]
                if isinstance(heard, Stopped):
                    return [heard.reason, heard.text]
                if isinstance(heard, Trouble):
                    return [heard.failure.value, heard.text]
                await line.listen(POLL_SECONDS)

    async def _test_webhook(self, _table: RequestTable, request: Request) -> Mapping[str, Any]:
        sent: dict[str, int] = {}
        without = []
        now = self.services.clock.now()
        for tenant_id, tenant in self._chosen(request).items():
            if tenant.webhook is None:
                without.append(tenant_id)
                continue
            text = "This is a test: reports of commander runs will arrive here."
            body = to_json(notice(tenant.name, "Test message", text, now))
            async with self.services.state.write() as connection:
                sent[tenant_id] = await outbox.enqueue(
                    connection, tenant_id=tenant_id, body=body, now=now, request_id=request.id
                )
        self.services.wake_outbox()
        return {"messages": sent, "without_webhook": without}
