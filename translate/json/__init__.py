"""JSON: bytes and values.

wire          the one place that reads and writes it
sliced_json   megabytes of it, in slices
top_level     the members of an object's top level, found in its bytes; compact_json: the same where nothing is blank
json_fields   a field that may be anything: missing, null, of another type
lenient       what an upstream sent, whatever it is
"""
