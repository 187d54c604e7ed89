"""What several test directories share: recorded traffic, grammar checkers, SDKs, scripted servers."""
