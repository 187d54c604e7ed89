"""What operators see and touch: the settings."""
