"""The state that the workers of a host, or of a fleet, have in common: one interface, in memory, SQLite or Redis."""
