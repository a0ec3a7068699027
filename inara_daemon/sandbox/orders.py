"""What can be asked of a running sandbox from another process: a word for each mood of Inara and of Discord."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from inara_daemon.sandbox import faults
from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.sandbox.faults import DISCORD_FAULTS, DiscordFault, DiscordFaultKind, Fault
from inara_daemon.sandbox.inara import SandboxInara

FAULTS: Mapping[str, Fault] = {
    "access_revoked": faults.ACCESS_REVOKED,
    "close_after": faults.CLOSE_AFTER,
    "close_before": faults.CLOSE_BEFORE,
    "half": faults.HALF,
    "html_page": faults.HTML_PAGE,
    "http_503": faults.http_error(503),
    "limit_exceeded": faults.LIMIT_EXCEEDED,
    "unknown_refusal": faults.UNKNOWN_REFUSAL,
}
"""What the next request to Inara meets."""
DISCORD = "discord:"
"""How orders to Discord begin."""


class UnknownOrderError(Exception):
    """Nobody knows this order."""


async def obey(order: str, inara: SandboxInara, discord: SandboxDiscord) -> None:
    """Do what the words say. Raises UnknownOrderError.

    `ban`, `second_night`, `turn_powers`, or a fault for the next request to Inara. With `discord:` before it `stop`,
    `start`, `gone NAME`, or `calm` or a fault for the next request, for all webhooks or for the one named:
    `discord:hang Squadron 1`. A fault that asks for a wait may say how many seconds: `discord:wait_global=0.5`.
    """
    if order.startswith(DISCORD):
        await _obey_discord(order.removeprefix(DISCORD), discord)
        return
    deeds: Mapping[str, Callable[[], object]] = {
        "ban": inara.ban,
        "second_night": inara.world.second_night,
        "turn_powers": inara.world.turn_powers,
    }
    if order in FAULTS:
        inara.inject(FAULTS[order])
    elif order in deeds:
        deeds[order]()
    else:
        raise _unknown(order, [*FAULTS, *deeds, f"{DISCORD}..."])


async def _obey_discord(order: str, discord: SandboxDiscord) -> None:
    what, _, name = order.partition(" ")
    word, _, seconds = what.partition("=")
    deeds: Mapping[str, Callable[[], Awaitable[None]]] = {"stop": discord.stop, "start": discord.resume}
    try:
        if word in DISCORD_FAULTS:
            discord.inject(_lasting(DISCORD_FAULTS[word], seconds), webhook=name or None)
        elif word == "gone":
            discord.delete_webhook(name)
        elif word == "calm":
            discord.calm(webhook=name or None)
        elif word in deeds:
            await deeds[word]()
        else:
            raise _unknown(order, [*DISCORD_FAULTS, "gone", "calm", *deeds])
    except KeyError:
        raise UnknownOrderError(f"{order}: nobody asked for a webhook of that name") from None


def _lasting(fault: DiscordFault, seconds: str) -> DiscordFault:
    if not seconds:
        return fault
    try:
        if fault.kind is DiscordFaultKind.WAIT:
            return replace(fault, retry_after=float(seconds))
    except ValueError:
        pass
    raise UnknownOrderError(f"{seconds}: only a wait takes seconds, as a number")


def _unknown(order: str, known: list[str]) -> UnknownOrderError:
    return UnknownOrderError(f"{order}: known are {', '.join(sorted(known))}")
