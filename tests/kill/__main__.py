"""`python -m tests.kill`: the proofs of "never banned" and of "each report once or named as lost" under `kill -9`.

Each is a table; exit code 1 if one fails.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.kill import delivery_proof, pace_proof

PROOFS: Mapping[str, Callable[[Path, int, int], list[str]]] = {
    "pace": pace_proof.prove,
    "deliveries": delivery_proof.prove,
}


def main() -> int:
    """Run campaigns and judge them."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--proof", choices=PROOFS, help="only this one")
    parser.add_argument("--kills", type=int, default=310, metavar="N", help="how many SIGKILLs")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), metavar="N", help="deals the same cards")
    options = parser.parse_args()
    chosen = [options.proof] if options.proof else list(PROOFS)
    return max([_run(name, options.kills, options.seed) for name in chosen])


def _run(name: str, kills: int, seed: int) -> int:
    print(f"{name}: {kills} kills, --seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="inara-kill-"))
    problems = PROOFS[name](folder, kills, seed)
    if problems:
        print("", *(f"FAILED: {problem}" for problem in problems), f"Logs and databases: {folder}", "", sep="\n")
        return 1
    print(flush=True)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
