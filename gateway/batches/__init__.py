"""Batches: many requests that may take their time. Upstreams that have them get them; else the proxy runs them."""
