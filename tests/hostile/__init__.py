"""What no honest client or upstream sends: one file for each input, one runner for all (see test_inputs.py)."""
