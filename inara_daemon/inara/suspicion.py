"""Which name makes Inara refuse whole batches: found by halving, while everybody else is served first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The names of a key of which one may be what Inara refuses, in the order in which they were asked.

    `others_worked`: a request with this key was answered since, so that the key itself is not the reason.
    """

    names: Sequence[str] = ()
    others_worked: bool = False

    def refused(self, batch: Collection[str]) -> Suspicion:
        """What is suspected after a refusal: one of the batch, if it held suspects only; else its names as well."""
        if set(batch) <= set(self.names):
            return replace(self, names=tuple(name for name in self.names if name in batch))
        return replace(self, names=(*self.names, *(name for name in batch if name not in self.names)))

    def worked(self, batch: Collection[str]) -> Suspicion:
        """What is suspected after an answer: the batch is cleared; with nobody left the suspicion is over."""
        left = tuple(name for name in self.names if name not in batch)
        return Suspicion(left, others_worked=True) if left else NO_SUSPICION

    def convicts(self, batch: Collection[str]) -> bool:
        """Whether a refusal of this batch is the fault of its only name."""
        return len(batch) == 1 and self.others_worked and set(batch) <= set(self.names)

    def settled(self, culprit: str) -> Suspicion:
        """What is suspected once a culprit was found: those who were suspected with it are free."""
        return NO_SUSPICION if culprit in self.names else self

    def next_try(self, waiting: Mapping[str, str], limit: int) -> dict[str, str]:
        """The half of the suspects still waited for that is asked next, at most `limit`, with their spellings."""
        left = [name for name in self.names if name in waiting]
        return {name: waiting[name] for name in left[: min((len(left) + 1) // 2, limit)]}


NO_SUSPICION = Suspicion()
