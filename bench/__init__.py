"""./run.sh bench: what the proxy costs, beside going direct, on the user's own upstream or on one that it brings along.

command.py is the order of things; plan.py says what is measured and what it may cost; load.py makes the requests;
report.py writes the table, the JSON and the picture. upstream.py is the upstream that it brings along.
"""
