"""Batches: many requests that may take their time. Upstreams that have them get them; else the proxy runs them.

endpoint          requests about batches and files; whole_request: one of these; desk: what all parts share
messages_batches  one API, openai_batches the other; passed: batches that an upstream runs; passed_lists: lists of them
file_of_requests  a file that goes to an upstream as a batch
queue             where batches are: host_queue on one host, fleet_queue (and fleet_scripts) in a fleet
runner            runs their requests: own_request, of which item is one; gathering takes the reply
embeddings        small requests for embeddings, sent together
cached_contents   cached contents of the Gemini API
"""
