"""What must be true of how Discord was used: nobody pressed, no dead webhook used, but for what a death made forget.

What Discord says of a wait or of a dead webhook is stored at once; who is killed before that was never told, and
whoever comes next may ask once more.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from inara_daemon.sandbox.discord import Attempt
from tests.kill.board import Phase
from tests.kill.population import Death

_FATAL = frozenset({10003, 10015, 50001, 50013, 50027})
_AMID = frozenset({Phase.SENT, Phase.TOLD, Phase.SETTLE})
"""Who dies here may not have stored what Discord had said."""
_STORING_SECONDS = 1.0
"""Within so many seconds it is stored, on a host with too much to do."""
_TOGETHER_SECONDS = 0.7
"""What several lanes had begun before one of them was told: a begun message is sent, and has its slow turn first."""
_RESOLUTION = 0.001
"""Of the seconds in what the sandbox notes."""
_NOTED = re.compile(r"at ([\d.]+): (.*)", re.DOTALL)


def met(attempts: Sequence[Attempt]) -> Counter[str]:
    """The answers, in words: status or fault, Discord's code, and whether the message was stored."""
    return Counter(
        f"{attempt.answer}{f' {attempt.code}' if attempt.code else ''}{' stored' if attempt.stored else ''}"
        for attempt in attempts
    )


def of_discord(
    attempts: Sequence[Attempt], violations: Sequence[str], deaths: Sequence[Death], buried: Mapping[str, float]
) -> Iterator[str]:
    """Everything that is wrong with how Discord was used; `buried` says since when a webhook is known to be dead."""
    yield from _of_dead_webhooks(attempts, deaths)
    for attempt in attempts:
        late = attempt.at - buried.get(attempt.webhook or "", attempt.at)
        if late > 0:
            yield f"{attempt.webhook} was used {late:.2f} s after it was known to be dead: {attempt.answer}"
    for violation in violations:
        noted = _NOTED.fullmatch(violation)
        at, text = (float(noted[1]), noted[2]) if noted is not None else (0.0, violation)
        if "although it is gone" in text:
            continue  # judged above, together with the webhooks that are dead but exist
        if not (text.startswith("did not wait") and _may_not_know(at, text, attempts, deaths)):
            yield f"the sandbox's Discord noted: {violation}"


def _of_dead_webhooks(attempts: Sequence[Attempt], deaths: Sequence[Death]) -> Iterator[str]:
    by_webhook = defaultdict(list)
    for attempt in attempts:
        by_webhook[attempt.webhook].append(attempt)
    for webhook, uses in by_webhook.items():
        for told, used in pairwise(uses):
            if told.code in _FATAL and not _was_forgotten(told.at, used.at, deaths):
                yield f"{webhook} was used {used.at - told.at:.2f} s after it answered {told.answer} ({told.code})"


def _may_not_know(at: float, text: str, attempts: Sequence[Attempt], deaths: Sequence[Death]) -> bool:
    """Whether a death lies between the last time that anybody was told to wait and the one who did not."""
    everybody, scope = "everything" in text, text.partition("(")[2].rstrip(")")
    alike = [attempt for attempt in attempts if attempt.answer == f"429 {scope}"]
    hasty = next((attempt for attempt in alike if abs(attempt.at - at) < _RESOLUTION), None)
    told = [
        attempt.at
        for attempt in alike
        if attempt.at < at - (_TOGETHER_SECONDS if everybody else _RESOLUTION)
        and (everybody or (hasty is not None and attempt.webhook == hasty.webhook))
    ]
    return bool(told) and _was_forgotten(told[-1], at, deaths)


def _was_forgotten(told: float, used: float, deaths: Sequence[Death]) -> bool:
    """Whether somebody died who may have heard it and stored nothing."""
    return any(
        told - 0.05 <= death.gone and death.at < min(used, told + _STORING_SECONDS) and _AMID & set(death.phases)
        for death in deaths
    )
