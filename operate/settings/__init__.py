"""settings.ini, the environment and options, read into one frozen object."""
