"""The built-in upstream, which answers offline.

server        the HTTP server; door: lets in only the proxy that started it
answer        a request becomes an answer; messages, chat and responses: in each protocol
schema_value  values for a JSON schema
"""
