"""How hard a model thinks, and how its thoughts survive a client of another protocol."""
