"""./run.sh doctor: tries what an upstream can do, and prints the settings that fit it. Begin with `command.py`."""
