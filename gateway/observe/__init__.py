"""What is told of requests: records, metrics, logs, and what must not stand in them."""
