"""The console: what people look at and work with, such as the dashboard, the doctor and the commands.

mount       adds the dashboard, the metrics and the logs to a process. No other package imports this one
commands    the table of commands: doctor/, stats, usage, init, key, launch (claude, codex with codex_catalogue);
            start_options: of `start`
books       sums of usage; names: bounds their names; fleet_usage: of all hosts
telemetry   OpenTelemetry
dashboard/  has its own first page
"""
