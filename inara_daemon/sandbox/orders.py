"""What can be asked of a running sandbox from another process: a word for each mood of Inara."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from inara_daemon.sandbox import faults
from inara_daemon.sandbox.faults import Fault
from inara_daemon.sandbox.inara import SandboxInara

FAULTS: Mapping[str, Fault] = {
    "access_revoked": faults.ACCESS_REVOKED,
    "close_after": faults.CLOSE_AFTER,
    "close_before": faults.CLOSE_BEFORE,
    "half": faults.HALF,
    "html_page": faults.HTML_PAGE,
    "http_503": faults.http_error(503),
    "limit_exceeded": faults.LIMIT_EXCEEDED,
    "unknown_refusal": faults.UNKNOWN_REFUSAL,
}
"""What the next request meets."""


class UnknownOrderError(Exception):
    """Nobody knows this order."""


def obey(order: str, inara: SandboxInara) -> None:
    """Do what the word says: `ban`, `second_night`, or a fault for the next request. Raises UnknownOrderError."""
    deeds: Mapping[str, Callable[[], object]] = {"ban": inara.ban, "second_night": inara.world.second_night}
    if order in FAULTS:
        inara.inject(FAULTS[order])
    elif order in deeds:
        deeds[order]()
    else:
        raise UnknownOrderError(f"{order}: known are {', '.join(sorted([*FAULTS, *deeds]))}")
