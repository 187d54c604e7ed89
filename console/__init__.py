"""What people look at in a terminal: the doctor and the live numbers. Nothing below imports it."""
