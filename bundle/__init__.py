"""Builds the forms in which the program is shipped: one file, a zip that needs no network, and a wheel."""
