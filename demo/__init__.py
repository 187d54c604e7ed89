"""The built-in upstream, which answers offline."""
