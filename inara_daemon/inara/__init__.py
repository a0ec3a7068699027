"""Inara: the wire, the budget, and the desk where all tenants queue."""
