"""JSON as bytes and as values: read, written, looked into without a parse, and fields that may be anything."""
