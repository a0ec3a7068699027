"""What waits at the desk: a tenant's line of names, what it is told, and what a request carries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inara_daemon.commander import Outcome
from inara_daemon.inara.decision import Failure
from inara_daemon.nap import nap
from inara_daemon.settings import Secret

AT_ONCE = -1
"""The turn of a line that comes before everybody, once."""
NIGHT_SPENT = "night_spent"
"""The reason of a `Stopped` when `last_request` was reached."""


@dataclass(frozen=True, slots=True)
class Served:
    """Names answered by request number `request`, by lookup key."""

    request: int
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The line gets no more answers: its key is refused, or its share of the night is spent."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A request that carried names of this line failed; the names stay in line."""

    failure: Failure
    text: str


Notice = Served | Stopped | Trouble


@dataclass(slots=True, eq=False)
class Line:
    """The names that one run of one tenant waits for, by lookup key, each with the spelling to search.

    `since`: only answers of later requests count. `last_request`: the number of the last request that may be spent on
    this line; None: no limit. `alone`: those of the wanted who are known to spoil a batch. `turn`: the number of the
    request that last served this tenant, as who was served longest ago is next; `AT_ONCE` for whom somebody waits.
    """

    tenant_id: str
    key: Secret
    fingerprint: str
    since: int
    last_request: int | None = None
    wanted: dict[str, str] = field(default_factory=dict)
    fillers: dict[str, str] = field(default_factory=dict)
    alone: frozenset[str] = frozenset()
    turn: int = 0
    in_flight: bool = False
    _notices: deque[Notice] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _tries: dict[str, int] = field(default_factory=dict)

    def may_have(self, request: int) -> bool:
        """Whether a request may be spent on this line: it waits for somebody, and its share of the night allows it."""
        return bool(self.wanted) and (self.last_request is None or request <= self.last_request)

    def tell(self, notice: Notice) -> None:
        """Hand a notice to whoever waits with this line."""
        self._notices.append(notice)
        self._news.set()

    def poke(self) -> None:
        """Let whoever waits look around: something else than a notice has happened."""
        self._news.set()

    def heard(self) -> Notice | None:
        """The next notice, if there is one."""
        return self._notices.popleft() if self._notices else None

    def heard_more(self, names: int) -> list[Served]:
        """The answers that came right after the last notice, up to so many names and at least one answer."""
        more: list[Served] = []
        while self._notices and isinstance(following := self._notices[0], Served) and names > 0:
            names -= len(following.outcomes)
            more.append(following)
            self._notices.popleft()
        return more

    def put_back(self, served: Sequence[Served]) -> None:
        """Hear these answers again, before everything else."""
        self._notices.extendleft(reversed(served))

    async def listen(self, seconds: float) -> None:
        """Wait for a notice or a poke, but no longer than this."""
        if not self._notices:
            self._news.clear()
            await nap(self._news, seconds)

    def take(self, name: str) -> None:
        """Wait for a name no more."""
        self.wanted.pop(name, None)
        self.fillers.pop(name, None)

    def count_try(self, name: str) -> int:
        """Note that a good reply lacked the name; how often that happened."""
        self._tries[name] = self._tries.get(name, 0) + 1
        return self._tries[name]


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: whose turn it is, the spellings to search by lookup key, and the lines that are carried."""

    leader: Line
    names: Mapping[str, str]
    lines: tuple[Line, ...]

    @property
    def key(self) -> Secret:
        """The API key."""
        return self.leader.key

    @property
    def fingerprint(self) -> str:
        """What the key is known by."""
        return self.leader.fingerprint
