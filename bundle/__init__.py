"""How the program is shipped: one file with all inside, a zip that needs no network, a wheel. Build time only."""
