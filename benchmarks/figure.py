"""One thing that was measured, beside what it is compared with and what it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value; `baseline` is of the same unit and of the same run, `against` names it.

    at_most: the goal for the value itself. ratio_at_most: the goal for the value as a multiple of the baseline.
    """

    what: str
    measured: float
    unit: str = ""
    baseline: float | None = None
    against: str = ""
    at_most: float | None = None
    ratio_at_most: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the baseline."""
        return self.measured / self.baseline if self.baseline else None

    @property
    def met(self) -> bool | None:
        """Whether every goal is met; None if there is none."""
        verdicts = []
        if self.at_most is not None:
            verdicts.append(self.measured <= self.at_most)
        if self.ratio_at_most is not None and self.ratio is not None:
            verdicts.append(round(self.ratio, 3) <= self.ratio_at_most)
        return all(verdicts) if verdicts else None

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """As a row of a table: what, measured, baseline, ratio, goal, met."""
        goals = []
        if self.at_most is not None:
            goals.append(f"≤ {_amount(self.at_most, self.unit)}")
        if self.ratio_at_most is not None:
            goals.append(f"ratio ≤ {_number(self.ratio_at_most)}")
        return (
            f"{self.what} ({self.note})" if self.note else self.what,
            _amount(self.measured, self.unit),
            "" if self.baseline is None else f"{_amount(self.baseline, self.unit)} ({self.against})",
            "" if self.ratio is None else _number(self.ratio),
            ", ".join(goals),
            {True: "yes", False: "NO", None: ""}[self.met],
        )


def _amount(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}".strip()


def _number(value: float) -> str:
    """Three digits that count, as people write them."""
    if value == int(value) and abs(value) < 1e9:
        return f"{value:,.0f}"
    for limit, decimals in ((100.0, 0), (10.0, 1), (1.0, 2), (0.1, 3)):
        if abs(value) >= limit:
            return f"{value:,.{decimals}f}"
    return f"{value:.3g}"
