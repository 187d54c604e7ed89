"""The upstream side: the libcurl client, and the built-in demo upstream."""
