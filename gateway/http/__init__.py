"""The client's side of HTTP: who may come in, bodies, headers, and the one writer of replies."""
