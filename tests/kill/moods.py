"""What Discord does to those who deliver: a card of faults is dealt before most kills."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from tests.kill.stand_in import StandIn

_PASSING = (
    *("http_500", "http_502", "http_503", "http_520", "http_504", "http_504_stored", "http_524", "http_524_stored"),
    *("http_401", "http_403", "hang", "hang_stored", "close_before", "close_after", "close_after_stored", "half"),
    *("wait_user=0.3", "wait_shared=0.3", "invalid_form"),
)
_ANY = (*_PASSING * 2, "wait_global=0.3", "wait_cloudflare=0.3")
"""What the next request of whatever tenant meets."""
_SERIES = (
    ("wait_user=4",),
    ("wait_shared=4",),
    ("invalid_form", "invalid_form"),
    ("http_503",) * 8,
    ("http_500", "hang_stored"),
    ("wait_user=0.1", "http_502", "invalid_form", "http_524_stored"),
)
"""What the next requests to one webhook meet, one after another: the plain form as well, and until the last attempt."""
_LONG = ("wait_global=2.5", "wait_cloudflare=2.5")
"""What stops everybody for so long that lives begin and end meanwhile; these are rare."""
_RARITY = 10
REQUIRED = frozenset(
    {
        *("429 user", "429 shared", "429 global", "429 cloudflare", "500", "502", "503", "504", "504 stored", "520"),
        *("524", "524 stored", "401", "401 50027", "403", "403 50001", "404 10015", "400 50035", "hang", "hang stored"),
        *("close_before", "close_after", "close_after stored", "half stored"),
    }
)
"""What must have been met for a proof."""
_Card = TypeVar("_Card")


@dataclass(slots=True)
class Moods:
    """Deals Discord's faults, each as often as the others."""

    stand_in: StandIn
    dice: random.Random
    _any: Iterator[str] = field(init=False)
    _series: Iterator[tuple[str, ...]] = field(init=False)
    _long: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._any, self._series, self._long = deal(_ANY, self.dice), deal(_SERIES, self.dice), deal(_LONG, self.dice)

    def strike(self, webhooks: list[str]) -> None:
        """Order a few faults, for one of these webhooks or for whoever comes next."""
        throw = self.dice.randrange(_RARITY * len(_LONG))
        if throw == 0:
            self._order(next(self._long))
        elif throw <= _RARITY // 2:
            webhook = self.dice.choice(webhooks)
            for word in next(self._series):
                self._order(f"{word} {webhook}")
        else:
            self._order(next(self._any))
            self._order(next(self._any))

    def _order(self, word: str) -> None:
        self.stand_in.order(f"discord:{word}")


def deal(cards: tuple[_Card, ...], dice: random.Random) -> Iterator[_Card]:
    """All cards in some order, again and again."""
    while True:
        yield from dice.sample(cards, len(cards))
