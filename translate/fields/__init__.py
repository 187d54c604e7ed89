"""What becomes of each field of a request that crosses.

ledger      the tables that say it: mapped, carried, dropped and reported, or refused
leftovers   fields for which another protocol has no word; words: their names, as the client writes them
fit         what this upstream takes of its own protocol
"""
