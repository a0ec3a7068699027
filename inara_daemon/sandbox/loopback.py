"""One HTTP server on this machine, and the ways in which a connection can go wrong."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

MAX_BODY_BYTES = 12 * 1024 * 1024
"""More than any client may send to Inara or Discord, so that too large a body meets their rules and not ours."""
_READ_SECONDS = 60.0
_SHUTDOWN_SECONDS = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Loopback:
    """Serves every method and path with one handler, until stopped; it can be started again."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._address = ("127.0.0.1", 0)
        self.url: str | None = None
        """Scheme, host and port while it runs."""

    async def start(self, host: str, port: int) -> str:
        """Listen, and return scheme, host and port. Raises OSError if the address can't be used."""
        if self._runner is not None:
            raise RuntimeError("the server runs already")
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handler)
        # A handler that hangs must end when its client goes, or stopping would wait for it.
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._stopping = asyncio.Event()
        self._address = (host, runner.addresses[0][1])
        self.url = f"http://{host}:{runner.addresses[0][1]}"
        return self.url

    async def resume(self) -> str:
        """Listen again where it last did; no harm if it still does. Raises OSError if somebody else does now."""
        return self.url or await self.start(*self._address)

    async def stop(self) -> None:
        """Close every connection and the port; stopping twice does no harm."""
        runner, self._runner, self.url = self._runner, None, None
        if runner is None:
            return
        self._stopping.set()
        await runner.cleanup()

    async def pause(self, seconds: float) -> None:
        """Let seconds pass, fewer if the server is stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def hang(self, request: web.Request) -> web.StreamResponse:
        """Say nothing until the client goes (which cancels this) or the server is stopped."""
        await self._stopping.wait()
        return close(request)


async def read(request: web.Request) -> bytes:
    """The body. Raises aiohttp's 413 beyond `MAX_BODY_BYTES`, TimeoutError if it does not arrive."""
    async with asyncio.timeout(_READ_SECONDS):
        return await request.read()


def close(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()  # never sent


def reset(request: web.Request) -> web.StreamResponse:
    """Break the connection with a TCP reset instead of an answer."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()  # never sent


async def answer_half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announce the whole JSON body, send its first half and close."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    close(request)
    return response
