from __future__ import annotations

from inara_daemon.service.progress import Progress


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_part_is_silent_only_after_its_own_patience() -> None:
    time = Time()
    progress = Progress(time)
    quick = progress.watch("quick", patience=5)
    progress.watch("patient", patience=60)
    time.now += 6
    assert progress.silent() == ("quick",)
    quick()
    assert progress.silent() == ()
    time.now += 61
    assert progress.silent() == ("quick", "patient")
    assert progress.silent("pat") == ("patient",)


def test_a_part_that_ended_is_expected_no_more() -> None:
    time = Time()
    progress = Progress(time)
    beat = progress.watch("part", patience=5)
    progress.forget("part")
    beat()  # a late sign of life doesn't bring it back
    time.now += 60
    assert progress.silent() == ()
