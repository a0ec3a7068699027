"""Every service that reports can go to: another one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from inara_daemon.notify.channel import Channel
from inara_daemon.notify.discord import DiscordChannel


def open_channels(*, version: str, boottime: Callable[[], float]) -> tuple[Channel, ...]:
    """The channels in the order in which they are asked for a URL; `boottime` in seconds."""
    return (
        # The last, as it takes every URL: what is no webhook at all was refused with the configuration.
        DiscordChannel(version=version, boottime=boottime),
    )
