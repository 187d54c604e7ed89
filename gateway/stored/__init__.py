"""Responses and threads that the proxy keeps for its clients.

store              the response store; owners: on disk, which client got which response
previous_response  what one request does with it; threads: the same for Messages
store_sync         asks other workers and the disk; fleet_responses: the other hosts
references         files and cached contents that a request names
"""
