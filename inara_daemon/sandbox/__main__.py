"""`python -m inara_daemon.sandbox`: both servers, for tests that kill other processes.

The first line on standard output is a JSON object with the URLs, and per squadron those of its channel's further
webhooks as `spares`; the last one holds the `violations` seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inara_daemon.sandbox.discord import SandboxDiscord
from inara_daemon.sandbox.discord_rules import Patience
from inara_daemon.sandbox.inara import SandboxInara
from inara_daemon.sandbox.orders import UnknownOrderError, obey
from inara_daemon.sandbox.world import World, demo_world, make_world

Journal = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Journals:
    """Who is told of what; None: nobody."""

    arrivals: Journal | None
    attempts: Journal | None
    messages: Journal | None


@dataclass(frozen=True, slots=True)
class Options:
    """The command line; a port of 0 is any free one."""

    inara_port: int
    discord_port: int
    rate: float
    ban: float
    latency: float
    discord_latency: float
    invalid_requests: int
    commanders: int
    squadrons: int
    spares: int
    seed: int
    orders: bool
    arrivals: Path | None
    attempts: Path | None
    messages: Path | None

    def world(self) -> World:
        """The demo's, or a made one."""
        return make_world(self.commanders, self.seed, squadrons=self.squadrons) if self.commanders else demo_world()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    options = _options()
    with ExitStack() as files:
        journals = Journals(*(_journal(path, files) for path in (options.arrivals, options.attempts, options.messages)))
        asyncio.run(_serve(options, journals))


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m inara_daemon.sandbox", description=__doc__)
    parser.add_argument("--inara-port", type=int, default=0, metavar="N")
    parser.add_argument("--discord-port", type=int, default=0, metavar="N")
    parser.add_argument("--rate", type=float, default=2.0, metavar="R", help="requests a minute that Inara allows")
    parser.add_argument("--ban", type=float, default=3600.0, metavar="S", help="seconds that its ban lasts")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="Inara's answers take 0 to S seconds")
    parser.add_argument(
        "--discord-latency", type=float, default=0.0, metavar="S", help="Discord takes 0 to S seconds, and again"
    )
    parser.add_argument(
        "--invalid-requests", type=int, default=10_000, metavar="N", help="that Discord forgives in ten minutes"
    )
    parser.add_argument(
        "--commanders", type=int, default=0, metavar="N", help="a made world of so many, not the demo's"
    )
    parser.add_argument("--squadrons", type=int, default=3, metavar="N", help="of the made world")
    parser.add_argument("--spares", type=int, default=0, metavar="N", help="further webhooks in each channel")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the made world and of the latencies")
    parser.add_argument("--orders", action="store_true", help="obey words on standard input: ban, discord:hang ...")
    parser.add_argument("--arrivals", type=Path, metavar="FILE", help="append each request to Inara, as a JSON line")
    parser.add_argument("--attempts", type=Path, metavar="FILE", help="append each request to Discord, as a JSON line")
    parser.add_argument("--messages", type=Path, metavar="FILE", help="append each message shown, as a JSON line")
    return Options(**vars(parser.parse_args()))


def _journal(path: Path | None, files: ExitStack) -> Journal | None:
    """What writes a value as a line that is readable for other processes at once."""
    if path is None:
        return None
    file = files.enter_context(path.open("a", encoding="utf-8"))

    def write(value: Any) -> None:  # noqa: ANN401 - any dataclass
        file.write(json.dumps(asdict(value)) + "\n")
        file.flush()

    return write


async def _serve(options: Options, journals: Journals) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    world = options.world()
    dice = random.Random(options.seed)  # noqa: S311 - repeatable latencies, no secret
    inara = SandboxInara(
        world,
        rate_per_minute=options.rate,
        ban_seconds=options.ban,
        latency=_latency(options.latency, dice),
        on_arrival=journals.arrivals,
    )
    discord = SandboxDiscord(
        latency=_latency(options.discord_latency, dice),
        patience=Patience(options.invalid_requests),
        on_message=journals.messages,
        on_attempt=journals.attempts,
    )
    async with AsyncExitStack() as servers:
        inara_url = await inara.start(port=options.inara_port)
        servers.push_async_callback(inara.stop)
        discord_url = await discord.start(port=options.discord_port)
        servers.push_async_callback(discord.stop)
        webhooks = {squadron: discord.webhook(squadron) for squadron in world.rosters}
        spares = {squadron: _spares(discord, squadron, options.spares) for squadron in world.rosters}
        _say({"inara": inara_url, "discord": discord_url, "webhooks": webhooks, "spares": spares})
        obeying = asyncio.create_task(_obey_orders(inara, discord)) if options.orders else None
        await stop.wait()
        if obeying is not None:
            obeying.cancel()
    _say({"violations": {"inara": inara.violations, "discord": discord.violations}})


def _latency(longest: float, dice: random.Random) -> Callable[[], float] | None:
    return (lambda: dice.uniform(0.0, longest)) if longest else None


def _spares(discord: SandboxDiscord, squadron: str, count: int) -> dict[str, str]:
    """Further webhooks in a squadron's channel, by name."""
    names = [f"{squadron}/{number + 2}" for number in range(count)]
    return {name: discord.webhook(name, channel=f"#{squadron}") for name in names}


async def _obey_orders(inara: SandboxInara, discord: SandboxDiscord) -> None:
    """A word a line, for as long as standard input is open."""
    orders = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while order := (await orders.readline()).decode().strip():
        try:
            await obey(order, inara, discord)
        except UnknownOrderError as error:
            print(error, file=sys.stderr, flush=True)  # noqa: T201


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
