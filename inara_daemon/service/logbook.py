"""Logs: structured, without secrets, and teed per destination into a bounded buffer for Discord."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from inara_daemon.log_lines import LogLine, keep, log_line
from inara_daemon.store.state.outbox import OPERATOR

_MASK = "***"
_SHORTEST_SECRET = 6
"""A shorter text would be blotted out of innocent words."""


class Redactor:
    """Replaces every known secret in a log line: a second line of defence behind the type `Secret`."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def know(self, secrets: Iterable[str]) -> None:
        """Add secrets; old ones stay known, as an old exception may still hold them."""
        long_enough = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        quoted = [form(secret)[1:-1] for secret in long_enough for form in (repr, json.dumps)]
        known = {*self._secrets, *long_enough, *quoted}
        self._secrets = tuple(sorted(known, key=len, reverse=True))  # a longer one may contain a shorter one

    def clean(self, text: str) -> str:
        """The text with every known secret masked."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """A structlog processor."""
        return {self.clean(key): self._clean_value(value) for key, value in event.items()}

    def _clean_value(self, value: object) -> object:
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, bool | int | float | None):
            return value
        if isinstance(value, Mapping):
            return {self.clean(str(key)): self._clean_value(item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean_value(item) for item in value]
        return self.clean(str(value))


OPERATORS = frozenset(
    {"webhook_dead", "message_lost", "tenant_crashed", "tenant_stuck", "tenant_unusable", "delivery_crashed"}
)
"""Events of one tenant that only the operator can do something about."""
TOLD_BY_REPORTS = frozenset(
    {
        *OPERATORS,
        *("name_skipped", "run_incomplete", "database_failed", "discovery_failed"),
        *("delivery_failing", "message_refused"),
    }
)
"""Events that a tenant's report tells in better words, as a problem or as a loss."""


@dataclass(slots=True)
class _Waiting:
    lines: dict[str, LogLine] = field(default_factory=dict)
    left_out: int = 0


class Logbook:
    """Keeps the lines from warning up until somebody takes them: a tenant's for the tenant, the rest for the operator.

    `on_news` is called after each of them, on whichever thread logged it.
    """

    def __init__(self) -> None:
        self.on_news: Callable[[], None] = lambda: None
        self._waiting: dict[str, _Waiting] = {}
        self._lock = threading.Lock()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """A structlog processor, behind the redaction."""
        if method in {"warning", "error", "critical", "exception"}:
            for destination in _destinations(event):
                self.put(destination, [_line(event, method, to_operator=destination == OPERATOR)])
        return event

    def put(self, destination: str, lines: Iterable[LogLine], left_out: int = 0) -> None:
        """Keep lines for a destination, as far as there is room."""
        with self._lock:
            waiting = self._waiting.setdefault(destination, _Waiting())
            waiting.left_out += left_out
            waiting.left_out += sum(keep(waiting.lines, line) for line in lines)
        self.on_news()

    def take(self) -> dict[str, tuple[tuple[LogLine, ...], int]]:
        """Hand over all lines by destination, each with how many more found no room, and keep none."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
        return {
            destination: (tuple(waiting.lines.values()), waiting.left_out) for destination, waiting in taken.items()
        }


def _destinations(event: EventDict) -> list[str]:
    name, tenant_id = event.get("event"), event.get("tenant")
    if not isinstance(tenant_id, str):
        return [OPERATOR]
    if tenant_id == OPERATOR:  # what its own messages cause must not cause the next one
        return []
    told = [] if name in TOLD_BY_REPORTS else [tenant_id]
    return [*told, OPERATOR] if name in OPERATORS else told


def _line(event: MutableMapping[str, Any], method: str, *, to_operator: bool) -> LogLine:
    hidden = {"event", "timestamp", "level", "logger", "exception", "stack"}
    if not to_operator:
        hidden |= {"tenant", "run"}
    text = " ".join(f"{key}={value}" for key, value in event.items() if key not in hidden)
    level = "error" if method in {"exception", "critical"} else method
    return log_line(level, str(event.get("event", "")), text, datetime.fromisoformat(event["timestamp"]))


def configure(*, level: str, json: bool, redactor: Redactor, logbook: Logbook, stream: TextIO = sys.stderr) -> None:
    """Send every log line, ours and the libraries', through one chain to `stream`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        redactor,
        logbook,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("apscheduler", "aiosqlite", "sqlalchemy", "alembic", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
