"""What operators work with: the settings, the logs, the metrics and the supervisor of the workers."""
