"""One POST to Inara, and nothing that could send it twice."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime

import aiohttp

from inara_daemon.inara.wire import Application, Outage, Reply, decode, encode
from inara_daemon.settings import Secret

LARGEST_ANSWER = 4 * 1024 * 1024
_ABORT = struct.pack("ii", 1, 0)
_FINISH = struct.pack("ii", 0, 0)


def open_session() -> aiohttp.ClientSession:
    """A session whose aborted requests leave nothing behind that could arrive later.

    Closing a socket normally lets the kernel go on sending what it holds; with SO_LINGER at 0 it drops that.
    """

    def make_socket(address: tuple[object, ...]) -> socket.socket:
        made = socket.socket(address[0], address[1], address[2])  # type: ignore[arg-type]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        return made

    connector = aiohttp.TCPConnector(force_close=True, limit=4, socket_factory=make_socket)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


class InaraClient:
    """Sends one request at a time; a failure is a value. `timeout` in seconds is the deadline of it all."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        application: Application,
        now: Callable[[], datetime],
        timeout: float = 60.0,
    ) -> None:
        self._session = session
        self._url = url
        self._application = application
        self._now = now
        self._timeout = timeout

    async def lookup(self, key: Secret, names: Sequence[str]) -> Reply:
        """Ask for these names with this key."""
        body = encode(self._application, key, names, self._now())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"{self._application.name}/{self._application.version}",
        }
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                _let_it_finish(response)
                answer = await response.content.read(LARGEST_ANSWER)
                while len(answer) < LARGEST_ANSWER and (more := await response.content.read(LARGEST_ANSWER)):
                    answer += more
                retry_after = self._seconds(response.headers.get("Retry-After"))
                return decode(response.status, answer, count=len(names), key=key, retry_after=retry_after)
        except TimeoutError:
            return Outage(f"no answer within {self._timeout:.0f} s")
        except aiohttp.ClientConnectorCertificateError:
            return Outage("the server's certificate is not valid")
        except aiohttp.ClientConnectorError as error:
            return Outage(f"can't connect ({type(error.os_error).__name__})")
        except (aiohttp.ClientError, OSError) as error:
            return Outage(f"the connection broke ({type(error).__name__})")

    def _seconds(self, text: str | None) -> float | None:
        if text is None:
            return None
        try:
            seconds = float(text)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(text) - self._now()).total_seconds()
            except (ValueError, TypeError):
                return None
        return seconds if 0 <= seconds < float("inf") else None


def _let_it_finish(response: aiohttp.ClientResponse) -> None:
    """The request has arrived: from here on the connection may end as connections do."""
    transport = response.connection.transport if response.connection is not None else None
    end = transport.get_extra_info("socket") if transport is not None else None
    if end is not None:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FINISH)
