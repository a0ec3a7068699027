"""The shipped sandbox in a process of its own, as the killer sees it: orders in, journals out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from inara_daemon.sandbox.world import World, make_world

_STOP_SECONDS = 10.0


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
    _file: TextIO | None = None
    _rest: str = ""

    def news(self) -> list[dict[str, Any]]:
        """What was appended since the last call."""
        if self._file is None:
            if not self.path.exists():
                return []
            self._file = self.path.open(encoding="utf-8")
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        return [json.loads(line) for line in lines]


@dataclass(slots=True)
class StandIn:
    """The running sandbox, and a world that is a mirror of its own."""

    process: subprocess.Popen[str]
    inara_url: str
    discord_url: str
    webhooks: dict[str, str]
    world: World
    arrivals: list[Seen] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    _arrivals: Journal = field(default_factory=lambda: Journal(Path()))
    _messages: Journal = field(default_factory=lambda: Journal(Path()))

    @classmethod
    def start(cls, folder: Path, *, rate: float, ban: float, latency: float, commanders: int, seed: int) -> StandIn:
        """Start it; its limit is `rate` requests a minute, and `ban` how many seconds it is offended."""
        arrivals, messages = folder / "arrivals.jsonl", folder / "messages.jsonl"
        options = {
            "--rate": rate,
            "--ban": ban,
            "--latency": latency,
            "--commanders": commanders,
            "--seed": seed,
            "--arrivals": arrivals,
            "--messages": messages,
        }
        words = [str(word) for option in options.items() for word in option]
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
            make_world(commanders, seed),
            _arrivals=Journal(arrivals),
            _messages=Journal(messages),
        )

    def order(self, word: str) -> None:
        """Ask for a mood; see `inara_daemon.sandbox.orders`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def look(self) -> None:
        """Read on in the journals."""
        self.arrivals += [Seen(line["at"], line["key"], line["answer"]) for line in self._arrivals.news()]
        self.messages += self._messages.news()

    def stop(self) -> list[str]:
        """Stop it; what it saw of breaches, of Inara's rules and of Discord's."""
        self.process.terminate()
        output, _ = self.process.communicate(timeout=_STOP_SECONDS)
        self.look()
        violations = json.loads(output.splitlines()[-1])["violations"]
        return [*violations["inara"], *violations["discord"]]

    def kill(self) -> None:
        """Be gone, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
