"""Parts of a message that not every protocol has: media, citations, and what is told as text instead."""
