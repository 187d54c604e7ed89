"""The client's side of HTTP: who may come in, bodies, headers, and the one writer of replies.

connections    listener, connection, client_stream, tls_stream, idle_connections, unread (clients that stop reading);
               rate_limited_warning for their logs
the head       framing: is it clear where the body ends; header_lines and last_head: what was read before is not read
               again; azure_addresses: other spellings of paths
who may come   auth: keys; hosts, origins: web pages; forwarded: reverse proxies; loop_guard
bodies         body_decoding: how large they may be, and unpacks them; json_bounds
other headers  header_names: which ones go on and come back; header_rules: makes the lines; session_headers;
               query_string: its parameters, and a key in it
replies        response_writer; copied_answer: with a copy for the body log
"""
