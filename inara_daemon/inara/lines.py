"""All lines at the desk, in turn, and who waits for which name with which key."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, islice

from inara_daemon.commander import Outcome
from inara_daemon.inara.line import Line, Served
from inara_daemon.inara.suspicion import Suspicion

_FOR_THOSE_APART = 11
"""Every eleventh request; a prime, so that hardly any number of keys that take turns always misses it."""


class Lines:
    """Every open line: in the order of turns, by key, and by the names that it waits for.

    Nothing here looks at all names or at every line's names for one request: with 1,000 tenants and 100,000
    commanders that would take longer than the request.
    """

    def __init__(self) -> None:
        self._turns: list[Line] = []
        self._by_key: defaultdict[str, list[Line]] = defaultdict(list)
        self._by_name: defaultdict[str, dict[str, tuple[Line, ...]]] = defaultdict(dict)

    def __iter__(self) -> Iterator[Line]:
        """Whose turn is next comes first."""
        return iter(self._turns)

    def add(self, line: Line) -> None:
        """Let a line stand behind those who were served no later than its tenant."""
        self._queue(line)
        by_name, alone = self._by_name[line.fingerprint], (line,)
        for name in chain(line.wanted, line.fillers):
            others = by_name.setdefault(name, alone)
            if others is not alone:
                by_name[name] = (*others, line)

    def remove(self, line: Line) -> None:
        """Forget a line and what it still waits for."""
        self._unqueue(line)
        for name in chain(line.wanted, line.fillers):
            self._leave(line, name)
        if line.fingerprint not in self._by_key:
            self._by_name.pop(line.fingerprint, None)

    def close(self, line: Line) -> None:
        """Nothing more is asked for this line."""
        for name in line.wanted:
            self._leave(line, name)
        line.wanted.clear()

    def _leave(self, line: Line, name: str) -> None:
        by_name = self._by_name[line.fingerprint]
        left = tuple(other for other in by_name[name] if other is not line)
        if left:
            by_name[name] = left
        else:
            del by_name[name]

    def fingerprints(self) -> Iterable[str]:
        """The fingerprints of the keys for which lines stand here."""
        return self._by_key

    def of_key(self, fingerprint: str) -> tuple[Line, ...]:
        """The lines of one key, in turn."""
        return tuple(self._by_key.get(fingerprint, ()))

    def may_ask(self, fingerprint: str, request: int) -> bool:
        """Whether a request of this number may be spent on some line of a key."""
        return any(line.may_have(request) for line in self._by_key[fingerprint])

    def fill(self, fingerprint: str, request: int, suspicion: Suspicion, size: int) -> dict[str, str]:
        """The names for a request: as many as wait, up to `size`, from the line whose turn it is and then the next.

        Suspects are left to the end and asked in halves; then those who must be asked alone, one by one. Where there is
        never an end, as more wait than a night holds, some requests are theirs once the key is known to work.
        """
        peers = [line for line in self._by_key[fingerprint] if line.may_have(request)]
        alone = dict.fromkeys(name for line in peers for name in sorted(line.alone))
        suspects = suspicion.next_try(self._waiting(fingerprint, request, suspicion.names), size)
        apart = suspects or dict(islice(self._waiting(fingerprint, request, alone).items(), 1))
        if apart and request % _FOR_THOSE_APART == 0 and (suspicion.others_worked or not suspects):
            return apart
        not_shared = alone.keys() | set(suspicion.names)
        names = _take({}, (line.wanted for line in peers), not_shared, size)
        return _take(names, (line.fillers for line in peers), not_shared, size) if names else apart

    def _waiting(self, fingerprint: str, request: int, names: Iterable[str]) -> dict[str, str]:
        """Those of the names that a request may be spent on, with their spellings."""
        return {
            name: line.wanted[name]
            for name in names
            for line in self._by_name.get(fingerprint, {}).get(name, ())
            if name in line.wanted and line.may_have(request)
        }

    def carried(self, fingerprint: str, names: Collection[str]) -> tuple[Line, ...]:
        """The lines that wait for any of these names."""
        by_name = self._by_name.get(fingerprint, {})
        return tuple(dict.fromkeys(line for name in names for line in by_name.get(name, ())))

    def take(self, fingerprint: str, request: int, outcomes: Mapping[str, Outcome]) -> dict[Line, Served]:
        """Let every line that waits for these names have its answers, and wait for them no more."""
        served: defaultdict[Line, dict[str, Outcome]] = defaultdict(dict)
        for name, outcome in outcomes.items():
            for line in self._by_name.get(fingerprint, {}).pop(name, ()):
                line.take(name)
                served[line][name] = outcome
        return {line: Served(request, mine) for line, mine in served.items()}

    def give_up(self, line: Line, name: str) -> None:
        """One line waits for a name no more; others may."""
        line.take(name)
        self._leave(line, name)

    def end_turn(self, line: Line, request: int) -> None:
        """Who led a batch goes to the end of the queue; who only filled it up keeps its place."""
        if line in self._turns:
            self._unqueue(line)
            line.turn = request
            self._queue(line)

    def _queue(self, line: Line) -> None:
        for queue in (self._turns, self._by_key[line.fingerprint]):
            insort(queue, line, key=_turn)

    def _unqueue(self, line: Line) -> None:
        self._turns.remove(line)
        self._by_key[line.fingerprint].remove(line)
        if not self._by_key[line.fingerprint]:
            del self._by_key[line.fingerprint]


def _turn(line: Line) -> int:
    return line.turn


def _take(
    taken: dict[str, str], queues: Iterable[Mapping[str, str]], without: Collection[str], size: int
) -> dict[str, str]:
    """Add names to a batch, queue by queue, until it holds `size`."""
    for queue in queues:
        for name, spelling in queue.items():
            if len(taken) >= size:
                return taken
            if name not in without:
                taken.setdefault(name, spelling)
    return taken
