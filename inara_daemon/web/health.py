"""`/healthz`: is it alive and making progress; `/readyz`: does it lead and work."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from aiohttp import web


class Health(Protocol):
    """What the pages show."""

    @property
    def state(self) -> str:
        """`starting`, `standing by`, `leading` or `stopping`."""

    @property
    def status(self) -> str:
        """One line for people."""

    @property
    def healthy(self) -> bool:
        """Whether every part makes progress."""

    @property
    def ready(self) -> bool:
        """Whether this process leads and works."""

    @property
    def silent(self) -> tuple[str, ...]:
        """Parts without progress."""

    @property
    def reload_ok(self) -> bool:
        """Whether the last reload was taken."""

    @property
    def reload_error(self) -> str | None:
        """Why it was refused."""

    @property
    def reloaded_at(self) -> datetime | None:
        """When it was."""


def application(health: Health) -> web.Application:
    """The web application with both pages."""

    async def healthz(_request: web.Request) -> web.Response:
        return _answer(health, ok=health.healthy)

    async def readyz(_request: web.Request) -> web.Response:
        return _answer(health, ok=health.ready)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app


async def serve(health: Health, host: str, port: int) -> web.AppRunner:
    """Serve until `cleanup` is called on what is returned. Raises OSError if the address can't be used."""
    runner = web.AppRunner(application(health), access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def _answer(health: Health, *, ok: bool) -> web.Response:
    body = {
        "ok": ok,
        "state": health.state,
        "status": health.status,
        "silent": list(health.silent),
        "reload": {
            "ok": health.reload_ok,
            "error": health.reload_error,
            "at": None if health.reloaded_at is None else health.reloaded_at.isoformat(),
        },
    }
    return web.json_response(body, status=200 if ok else 503)
