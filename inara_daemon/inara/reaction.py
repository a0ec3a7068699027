"""What a reply means for later requests: pauses, suspects, and the end of either."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping

import structlog

from inara_daemon.inara.decision import LONGEST_RETRY_AFTER, Decision, Failure, Names, decide
from inara_daemon.inara.line import Batch
from inara_daemon.inara.pauses import Pauses
from inara_daemon.inara.wire import Answers, Outage, Refusal, Reply

_ACTIONS: Mapping[Failure | None, str] = {
    Failure.LIMITED: "every request waits: somebody shares the key, the application's name or the address",
    Failure.NOT_WHITELISTED: "every request waits: have INARA_DAEMON_APP_NAME white-listed by Inara",
    Failure.BAD_KEY: "the tenants with this key wait until it is replaced",
}

_log = structlog.get_logger("inara_daemon.desk")


class Reaction:
    """Turns replies into pauses; one that can't be stored is honoured at once, and nothing is sent before it is."""

    def __init__(self, pauses: Pauses, batch_size: int) -> None:
        self._pauses = pauses
        self._batch_size = batch_size

    def decide(self, batch: Batch, reply: Reply) -> Decision:
        """What to do about a reply."""
        return decide(reply, convicted=self._is_convicted(batch), outages_before=self._pauses.outages)

    def _is_convicted(self, batch: Batch) -> bool:
        """Whether a refusal would be the fault of the batch's only name."""
        known = len(batch.names) == 1 and any(batch.names.keys() <= line.alone for line in batch.lines)
        return known or self._pauses.suspicion(batch.fingerprint).convicts(batch.names)

    async def take(self, batch: Batch, decision: Decision, reply: Reply) -> None:
        """Hold what must be held, and let go of what need not be held any more."""
        await self._note_outage(decision, reply)
        if isinstance(reply, Refusal):
            await self._hold(batch, decision, reply)
        if isinstance(reply, Answers):
            await self._remember(self._pauses.worked(batch.fingerprint, batch.names.keys(), self._batch_size))
            if reply.retry_after:
                await self._remember(self._pauses.asked_to_wait(min(reply.retry_after, LONGEST_RETRY_AFTER)))

    async def _note_outage(self, decision: Decision, reply: Reply) -> None:
        """Hold everything after an outage, and say when outages begin and when they end."""
        before = self._pauses.outages
        if isinstance(reply, Outage):
            if not before:
                _log.warning("outage_began", error=reply.text)
            await self._remember(self._pauses.outage(reply.text, decision.delay))
            return
        if before:
            _log.info("outage_ended", failed_requests=before)
        await self._remember(self._pauses.outage_ended())

    async def _hold(self, batch: Batch, decision: Decision, refusal: Refusal) -> None:
        """Pause what the refusal concerns."""
        pausing: Awaitable[object]
        if decision.failure is Failure.LIMITED:
            pausing = self._pauses.limited(refusal.text, refusal.retry_after)
        elif decision.failure is Failure.NOT_WHITELISTED:
            pausing = self._pauses.not_whitelisted()
        elif decision.failure is Failure.BAD_KEY:
            pausing = self._pauses.bad_key(batch.fingerprint, refusal.text)
        else:
            pausing = self._suspect(batch, decision, refusal)
        action = _ACTIONS.get(decision.failure, "this key waits")
        _log.error(
            "request_refused", failure=decision.failure, key=batch.fingerprint, error=refusal.text, action=action
        )
        await self._remember(pausing)

    def _suspect(self, batch: Batch, decision: Decision, refusal: Refusal) -> Awaitable[object]:
        """Pause the key, and narrow down who of the batch may be the reason."""
        suspicion = self._pauses.suspicion(batch.fingerprint)
        if decision.names is Names.CULPRIT:
            after, size = suspicion.settled(next(iter(batch.names))), None
        else:
            after = suspicion.refused(batch.names)
            size = None if suspicion.others_worked else len(batch.names)
        return self._pauses.unknown_refusal(batch.fingerprint, refusal.text, after, size, refusal.retry_after)

    async def _remember(self, pausing: Awaitable[object]) -> None:
        try:
            await pausing
        except Exception as error:  # noqa: BLE001 - the store's own exceptions are unknown here
            _log.error("pause_unsaved", error=str(error))
