"""The daemon's own database: one file per noun; functions take the connection of the caller's transaction."""
