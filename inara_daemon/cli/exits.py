"""What the process tells its caller when it ends."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; systemd does not restart the service after CONFIGURATION (EX_CONFIG of sysexits.h)."""

    WELL = 0
    TROUBLE = 1
    USAGE = 2
    CONFIGURATION = 78
    INTERRUPTED = 130
