"""Failures, and what limits them.

errors          one error model for all protocols; openai_errors: as OpenAI's two protocols say one
error_words     what an error means by its words alone; vendor_codes: by a vendor's own code
problems        refuses what is wrong with a request of OpenAI's protocols, in OpenAI's words
capability      what an upstream cannot do, in words that clients of Messages understand
resets          when a limit ends; rate_headers: what is left of a client's own
"""
