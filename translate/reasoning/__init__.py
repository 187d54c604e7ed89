"""How a model thinks.

effort              how hard, and whether at all
sealed_reasoning    another provider's proof of its thoughts, in the one opaque field of a client's protocol
foreign_reasoning   thoughts that their own protocol's upstream cannot accept
"""
