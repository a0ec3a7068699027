"""Databases: the tenants' own, which are guests' property, and the daemon's state."""
