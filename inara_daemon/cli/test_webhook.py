"""`test-webhook`: does Discord take our messages."""

from __future__ import annotations

from collections.abc import Sequence

from inara_daemon.cli.exits import Exit
from inara_daemon.cli.place import Place, read_tenants
from inara_daemon.cli.screen import console, plain
from inara_daemon.cli.sync import choose, show_problems, show_skipped
from inara_daemon.service.errand import Errand
from inara_daemon.store.state.outbox import MessageStatus
from inara_daemon.store.state.requests import RequestKind

_DELIVERY_SECONDS = 30.0


async def send_test_messages(place: Place, *, tenant_ids: Sequence[str]) -> int:
    """Send one message to each tenant's channel, and to the operator's if no tenant is named; 0 only if all arrived."""
    settings = place.settings()
    tenants = read_tenants(settings)
    chosen = choose(tenants, tenant_ids)
    async with place.house(settings) as house:
        console.print("state", plain(house.state.place))
        show_skipped(tenants)
        if not chosen:
            return Exit.TROUBLE
        async with Errand(house, tenants) as errand:
            asked = {"tenants": chosen, "operator": not tenant_ids}
            result = await errand.ask(RequestKind.TEST_WEBHOOK, asked, lambda _: None)
            rows = await errand.delivered(result["messages"], _DELIVERY_SECONDS)
    for tenant_id in result["without_webhook"]:
        console.print(plain(f"{tenant_id}: has no webhook (discord_webhooks.bullis in tenant.json)"), style="yellow")
    for tenant_id, row in rows.items():
        sent = row["status"] == MessageStatus.SENT.value
        text = "arrived" if sent else f"{row['status']}: {row['error'] or 'not sent yet'}"
        console.print(plain(f"{tenant_id or 'the operator'}: {text}"), style="green" if sent else "red")
    arrived = all(row["status"] == MessageStatus.SENT.value for row in rows.values())
    code = show_problems(result)
    return Exit.TROUBLE if result["without_webhook"] or not arrived else code
