from __future__ import annotations

import time
from datetime import timedelta
from uuid import UUID

from inara_daemon.clock import system_clock


def test_the_wall_clock_is_aware_and_utc() -> None:
    assert system_clock().now().utcoffset() == timedelta(0)


def test_boottime_counts_suspended_time_too() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= system_clock().boottime() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_boot_id_is_the_kernels() -> None:
    assert str(UUID(system_clock().boot_id)) == system_clock().boot_id
