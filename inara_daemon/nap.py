"""Waits for an event, but never for ever: whoever waits wakes up now and then to look around."""

from __future__ import annotations

import asyncio


async def nap(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set or the seconds are over; whether it is set."""
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
