"""When each tenant's next run is due: APScheduler wakes, this decides, so that no clock step loses or doubles a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

_EACH_MINUTE = "*"


@dataclass(slots=True)
class Timetable:
    """One tenant's cron expression (UTC) and the next time it fires."""

    expression: str
    next_at: datetime | None = None
    _trigger: Any = field(init=False)
    _looked_at: datetime | None = None

    def __post_init__(self) -> None:
        self._trigger = CronTrigger.from_crontab(self.expression, timezone=UTC)

    def after(self, time: datetime) -> datetime | None:
        """The first time after `time`; None if it never comes (30 February)."""
        # A fire time equal to `time` belongs to the past: the trigger would give it again.
        fires: datetime | None = self._trigger.get_next_fire_time(time, time)
        return fires

    def start(self, last: datetime | None, now: datetime) -> None:
        """Go on after the last scheduled time; one that lies in the future was set by a wrong clock."""
        self.next_at = self.after(min(last, now) if last is not None else now)

    def wants_a_look(self, now: datetime) -> bool:
        """Whether the next time has come, or the clock was set back; asking the trigger each time would cost a lot."""
        return self._looked_at is None or now < self._looked_at or self.next_at is None or now >= self.next_at

    def is_due(self, now: datetime) -> bool:
        """Whether a run is due; then the next time is the first one after `now`, so missed times are one run."""
        wants_a_look, self._looked_at = self.wants_a_look(now), now
        if not wants_a_look:
            return False
        following = self.after(now)
        if self.next_at is None or (following is not None and following < self.next_at):
            self.next_at = following  # the clock was set back: don't wait for a time that a wrong clock chose
            return False
        if now < self.next_at:
            return False
        self.next_at = following
        return True


class Schedule:
    """Wakes everybody at their times, and each minute besides, since a stepped clock deceives a sleeping scheduler."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def start(self, expressions: frozenset[str]) -> None:
        """Begin to wake at the times of these cron expressions."""
        self._scheduler.add_job(self._wake, CronTrigger(minute=_EACH_MINUTE, timezone=UTC), id="each minute", **_JOB)
        self.replace(expressions)
        self._scheduler.start()

    def replace(self, expressions: frozenset[str]) -> None:
        """Wake at the times of these expressions, and of no others."""
        wanted = {f"cron {expression}": expression for expression in expressions}
        for job in self._scheduler.get_jobs():
            if job.id.startswith("cron ") and job.id not in wanted:
                self._scheduler.remove_job(job.id)
        for job_id, expression in wanted.items():
            if self._scheduler.get_job(job_id) is None:
                trigger = CronTrigger.from_crontab(expression, timezone=UTC)
                self._scheduler.add_job(self._wake, trigger, id=job_id, **_JOB)

    def stop(self) -> None:
        """Wake nobody any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)


_JOB: dict[str, Any] = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
