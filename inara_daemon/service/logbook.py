"""Logs: structured, without secrets, and teed per tenant into a bounded buffer for its report."""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

BUFFERED_LINES = 200
"""Lines kept for a tenant's next report; the oldest go first, and how many went is told."""
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


@dataclass(slots=True)
class TenantLines:
    """The lines that wait for one tenant's report."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=BUFFERED_LINES))
    dropped: int = 0


class Logbook:
    """Buffers the lines from warning up that belong to a tenant; a line without a tenant is nobody's."""

    def __init__(self) -> None:
        self._tenants: dict[str, TenantLines] = {}

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """A structlog processor, behind the redaction."""
        tenant_id = event.get("tenant")
        if isinstance(tenant_id, str) and method in {"warning", "error", "critical", "exception"}:
            kept = self._tenants.setdefault(tenant_id, TenantLines())
            if len(kept.lines) == BUFFERED_LINES:
                kept.dropped += 1
            kept.lines.append(_line(event, method))
        return event

    def take(self, tenant_id: str) -> TenantLines:
        """Hand over what a tenant's buffer holds and empty it."""
        return self._tenants.pop(tenant_id, TenantLines())


def _line(event: MutableMapping[str, Any], method: str) -> str:
    hidden = {"event", "timestamp", "level", "logger", "tenant", "run", "exception", "stack"}
    details = " ".join(f"{key}={value}" for key, value in event.items() if key not in hidden)
    time = str(event.get("timestamp", ""))[11:19]
    level = "error" if method in {"exception", "critical"} else method
    return f"{time} {level:<7} {event.get('event', '')} {details}".strip()


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
