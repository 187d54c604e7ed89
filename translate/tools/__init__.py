"""Tools and their calls, where the two sides of a crossing know different kinds of them.

bridge           custom tools and namespaces, for upstreams that know nothing but functions
provider_tools   a provider's own tools before another; websearch: its search of the web
deferred_calls   calls of tools that a search shows first; tool_search: that search, made by the proxy; search_pattern:
                 a model's regular expression, in linear time
distinct_tools   a tool that is declared twice; offered_names: a call under a name that is not quite the tool's own
answer_tool      schemas of replies as a tool, where only tools' schemas are followed; json_mode: JSON of no schema
pairing          each result right behind its call; raw_controls: characters that a call's arguments may not have
"""
