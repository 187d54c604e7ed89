"""The client for upstreams, built on libcurl."""
