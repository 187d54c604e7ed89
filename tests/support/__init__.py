"""What several test directories share: recorded traffic, SDKs, scripted servers."""
