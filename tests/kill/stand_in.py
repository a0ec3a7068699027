"""The shipped sandbox in a process of its own, as the killer sees it: orders in, journals out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inara_daemon.sandbox.discord import Attempt
from inara_daemon.sandbox.world import World, make_world

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How the sandbox is set: the options of its command line, with their names."""

    rate: float
    ban: float
    latency: float
    commanders: int
    seed: int
    squadrons: int = 3
    discord_latency: float = 0.0
    invalid_requests: int = 10_000
    spares: int = 0


@dataclass(frozen=True, slots=True)
class Violations:
    """Breaches of Inara's rules and of Discord's."""

    inara: list[str]
    discord: list[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as the sandbox noted it, `at` by its own clock (CLOCK_MONOTONIC seconds)."""

    at: float
    key: str | None
    answer: str


@dataclass(slots=True)
class Journal:
    """A file of JSON lines that another process appends to."""

    path: Path
    _read: int = 0

    def news(self) -> list[dict[str, Any]]:
        """What was appended since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]


@dataclass(slots=True)
class StandIn:
    """The running sandbox, and a world that is a mirror of its own."""

    process: subprocess.Popen[str]
    inara_url: str
    discord_url: str
    webhooks: dict[str, str]
    spares: dict[str, dict[str, str]]
    """By squadron the further webhooks of its channel, each by its name."""
    world: World
    arrivals: list[Seen] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    _journals: dict[str, Journal] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path, terms: Terms) -> StandIn:
        """Start it, with its journals in the folder."""
        journals = {name: folder / f"{name}.jsonl" for name in ("arrivals", "attempts", "messages")}
        options = {name: str(value) for name, value in (asdict(terms) | journals).items()}
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        process = subprocess.Popen(
            [sys.executable, "-m", "inara_daemon.sandbox", "--orders", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith(("INARA_", "VALK_"))},
        )
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        return cls(
            process,
            told["inara"].replace("127.0.0.1", "localhost"),  # a name to look up, so that a connect has its length
            told["discord"],
            told["webhooks"],
            told["spares"],
            make_world(terms.commanders, terms.seed, squadrons=terms.squadrons),
            _journals={name: Journal(path) for name, path in journals.items()},
        )

    def order(self, word: str) -> None:
        """Ask for a mood; see `inara_daemon.sandbox.orders`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def look(self) -> None:
        """Read on in the journals."""
        told = {name: journal.news() for name, journal in self._journals.items()}
        self.arrivals += [Seen(line["at"], line["key"], line["answer"]) for line in told["arrivals"]]
        self.attempts += [Attempt(**line) for line in told["attempts"]]
        self.messages += told["messages"]

    def stop(self) -> Violations:
        """Stop it; what it saw of breaches."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=_STOP_SECONDS)
        self.look()
        return Violations(**json.loads(output.splitlines()[-1])["violations"])

    def kill(self) -> None:
        """Be gone, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
