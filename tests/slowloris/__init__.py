"""Clients that take as long as they can, in great number, beside honest ones."""
