"""Random faults for a while: `./run.sh chaos [MINUTES]`. Not part of the normal tests; see __main__.py."""
