"""The console: what people look at and work with, such as the dashboard, the doctor and the commands.

`mount.py` adds the dashboard, the metrics and the logs to a process. No other package imports this one.
"""
