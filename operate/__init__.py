"""What operators see and touch: the settings, the logs, the metrics, the supervisor of the workers."""
