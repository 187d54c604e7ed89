"""What is told of requests: records, metrics, the body log.

dispatcher    tells the observers; record: the data of a finished request; prices: what it cost; tags
body_log      which bodies are logged, and how much of each
live_metrics  present values for /metrics; loop_lag: how late the event loop is
"""
