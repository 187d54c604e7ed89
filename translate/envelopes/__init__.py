"""Messages in another wrapping: the same dialect, with the path, the body's outer fields and the frames of a cloud.

envelope  what an envelope is; table: all of them, by their names in settings
bedrock   Amazon's; eventstream: its frames; vertex: Google's
bridge    what a cloud does not take of a request; clients: those that speak to the proxy in an envelope
"""
