"""Routing: from the name of a model and the conditions to upstreams, in the order in which they are tried."""
