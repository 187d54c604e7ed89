"""Batches: many requests that may take their time. Upstreams that have them get them; for others the proxy runs them."""
