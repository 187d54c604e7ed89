"""Requests whose bodies pass through as they come: files, audio and images."""
