"""What operators work with: the settings, the logs, the metrics and the supervisor of the workers.

settings/, logs/          have their own first pages
installation, version     where the program is installed, and which version it is; extras: optional packages
supervisor                starts the workers; privileges, memory, terminal, systemd: the process and its system
steady_clock              seconds since the machine's start, which nobody sets
listening, tls, handover  the sockets; handover: to another process
metric_families, metrics  the table of metrics, and the counts; exposition: the page
SQLite files              usage_store, batch_store and owner_store; sqlite_file is how all of them are opened
client_keys, key_sources  keys of clients; keys that a command or a cloud makes
plain, printing           text for terminals; commands that print
search                    whether bytes have a word
"""
