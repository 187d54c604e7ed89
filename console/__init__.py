"""What people look at: the dashboard, the doctor, the live numbers in a terminal.

`mount.py` puts the dashboard, the metrics and the logs into a process. Nothing below imports this package.
"""
