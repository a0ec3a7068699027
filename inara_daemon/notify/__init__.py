"""Tells tenants what changed: a durable queue and the channels it sends to."""
