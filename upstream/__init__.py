"""The upstream side: the libcurl client."""
