"""Random faults for a while: `./run.sh chaos [--minutes N]`. Not part of the normal tests; see __main__.py."""
