"""The logs: one JSON object on each line, written by a thread so that no request waits for the disk.

journal    the files; writer: the thread; rotation, stream: where lines go
lines      the text of a line; fields: facts that a program reads
capture    which requests' bodies are logged
redaction  masks secrets; spellings: in other forms, too
"""
