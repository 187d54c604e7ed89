"""What upstreams' refusals say, and what follows from them. It knows no request (that is gateway/flow).

learned_quirks   what they have taught, remembered for a day; refused_fields and told_limits read it off their words
strip_fields     fields are cut out of a body that else passes untouched
scrub            what an error's text a log may have; known_phrases: services are known for them; own_words: whether
                 they only quote the request
"""
