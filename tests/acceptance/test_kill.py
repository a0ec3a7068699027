"""A short form of `make test-kill`: the daemon is killed some ten times amid the delivery of reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill import delivery_proof


@pytest.mark.timeout(90)
def test_each_report_arrives_once_or_is_named_as_lost_whoever_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = delivery_proof.prove(tmp_path, kills=30, seed=12)
    assert problems == [], capsys.readouterr().out
