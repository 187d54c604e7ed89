"""settings.ini, the environment and options, read into one frozen object. Begin with load.py.

load      makes the Settings: inifile reads the text, include further files, environment ${NAME} and file:
reading   turns sections into the parts of Settings; model_rules and conditions: the lines of [models]
schema    the table of all sections; the rows (rows.py) stand in schema_server, schema_pool, schema_retry,
          schema_upstream, schema_cache, schema_stores and schema_logging
values    their kinds: value_types, list_types, url_types, secret_types
sections  the sections as structs; upstreams: [upstream NAME]; presets: what `preset = NAME` stands for
checks    what makes no sense together; errors: how it is told
changes   what a running proxy can take over; file_watch: notices that a file was saved
"""
