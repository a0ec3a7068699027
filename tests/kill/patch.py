"""Puts something around the product: nothing is set that is not there, and what is under way stands on the board."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from tests.kill.board import Board, Work

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def replace(owner: object, name: str, value: Any) -> None:
    """Set what is there: a name that the product has no more must not pass unseen."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, value)


@dataclass(frozen=True, slots=True)
class Marks:
    """Lets the board know what a life is amid, and lets it dawdle there."""

    board: Board
    slot: int
    dice: random.Random

    def dawdle(self, slowest: float) -> Awaitable[None]:
        """Half the time not at all."""
        return asyncio.sleep(max(self.dice.uniform(-slowest, slowest), 0.0))

    def amid(
        self,
        work: Work,
        call: Callable[_Arguments, Awaitable[_Result]],
        *,
        only: Callable[..., bool] = lambda *_: True,
        slowest: float = 0.0,
    ) -> Callable[_Arguments, Awaitable[_Result]]:
        """The call, marked as this work, with up to `slowest` seconds before its end."""

        async def marked(*arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
            if not only(*arguments):
                return await call(*arguments, **named)
            self.board.begin(self.slot, work)
            try:
                result = await call(*arguments, **named)
                if slowest:
                    await self.dawdle(slowest)
                return result
            finally:
                self.board.end(self.slot, work)

        return marked
