"""Requests whose bodies pass through as they come: files, audio and images. Begin with relay.py.

relay         the walk of one request
intake, form  its body: JSON is gathered, of a form the model and the number of pictures are read; upload: the body on
              its way
attempt       one attempt; incoming: what comes back; reply: what the client gets
files         /v1/files: which upstream has them
"""
