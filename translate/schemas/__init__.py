"""JSON schemas of tools and replies, made to fit what each provider takes of JSON Schema.

table     the dialects: what each provider takes; offer: writes a request's tools and reply format in one of them
fitting   one schema for one dialect: references, root, patterns, names (of properties), gemini (a part of JSON
          Schema)
places    where schemas stand within a schema; sound: makes one valid for every reader
restored  the way back: what the model writes by a fitted schema, as the client's own asks for it
"""
