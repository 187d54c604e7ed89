"""Routing: from the name of a model and the conditions to upstreams, in the order in which they are tried.

router        from a name to a list of routes; request_facts: what conditions ask for
balancing     the state of the endpoints, and their order
upstreams     a LiveUpstream: all that requests to an upstream need; protocol_choice: which of its protocols
client_rules  what a client may use; its own key stays with one provider
model_names   as clouds have them; such as must not stand in an address
listing       the models that clients may ask for; known_models: the lists of upstreams
model_sizes   how many tokens a model takes; shipped_models: sizes and prices of models.json
"""
