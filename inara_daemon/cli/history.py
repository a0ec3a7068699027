"""`history`: what changed, as the daemon remembers it."""

from __future__ import annotations

from datetime import datetime

from inara_daemon.change_words import words
from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, state_exists, state_url
from inara_daemon.cli.screen import console, moment, plain, table
from inara_daemon.commander import lookup_key
from inara_daemon.store.state import changes


async def show_history(place: Place, *, tenant_id: str | None, name: str | None, since: datetime | None) -> int:
    """Print the newest changes, the oldest of them first."""
    settings = place.settings()
    url = state_url(settings, place.environ)
    if not state_exists(url):
        console.print(plain(f"The daemon has not run yet: there is no state database at {url.database}."))
        return Exit.WELL
    async with place.house(settings) as house, house.state.read() as connection:
        key = None if name is None else lookup_key(name)
        found = await changes.history(connection, tenant_id=tenant_id, key=key, since=since)
        console.print("state", plain(house.state.place))
    if not found:
        console.print("Nothing has changed that fits.")
        return Exit.WELL
    shown = table("Changes", "when (UTC)", "tenant", "commander", "what")
    for change in found:
        what = words(change.change) if change.applied else f"{words(change.change)} (not yet in the tenant's database)"
        shown.add_row(moment(change.at), plain(change.tenant_id), plain(change.name), plain(what))
    console.print(shown)
    if len(found) == changes.SHOWN_CHANGES:
        console.print(
            f"These are the newest {changes.SHOWN_CHANGES:,}; ask with --tenant, --name or --since for others."
        )
    return Exit.WELL
