"""Keeps the loop free: what takes long for a large roster is computed in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

LARGE = 5_000
"""Names; going through more of them would hold up every other tenant, and the next token."""

_Result = TypeVar("_Result")


async def computed(work: Callable[[], _Result], names: int) -> _Result:
    """The result of pure work on so many names, which nobody changes meanwhile."""
    return await asyncio.to_thread(work) if names > LARGE else work()
