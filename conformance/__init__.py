"""Does a server speak the protocols that it claims? ./run.sh conformance URL asks it, and judges what it answers.

Any proxy or server may be asked that claims Anthropic Messages, OpenAI Chat Completions, OpenAI Responses or Google's
Gemini API. The kit shares no code with the translators: what the protocols say is stated here a second time, so that
it is a witness for this proxy, too. command.py is where to begin to read; grammar/ has the checkers of streams that
the tests use as well. It needs nothing but Python; the official SDKs and openresponses-types are used where they are
installed.
"""
