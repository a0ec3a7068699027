"""The running service: plugs Inara, the databases and Discord together and keeps every tenant alive."""
