"""Streams as servers of every kind send them: mutations in tables (of_chat.py and its siblings, framings.py), one line
each, none of which changes what a reply says. `python -m tests.corpus.habits` tries all, on the recorded ones, too."""
