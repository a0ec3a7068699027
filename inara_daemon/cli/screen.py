"""What every verb prints with: one console, plain tables, text from outside shown as it is and never as markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 160
"""Columns of a table that no terminal shows."""

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def table(title: str, *columns: str) -> Table:
    """An empty table; a column that begins with `#` holds numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column.startswith("#") else "left"
        made.add_column(column.removeprefix("#"), justify=justify, overflow="fold")  # no date loses its day
    return made


def details(rows: Iterable[tuple[str, str]]) -> Table:
    """What there is to say of one thing, a line for each label; texts may come from outside."""
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for label, text in rows:
        made.add_row(f"  {label}", plain(text))
    return made


def plain(text: object) -> Text:
    """Text from outside: no markup, no control characters."""
    return Text("".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(text)))


def moment(time: datetime | None) -> str:
    """A time in UTC, or a dash."""
    return "-" if time is None else time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds / 60), 60)
    return f"{minutes} h {rest:02} min" if minutes else f"{rest} min"
