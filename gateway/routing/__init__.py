"""Where a request goes: a model's name, conditions, upstreams, and the order in which they are tried."""
