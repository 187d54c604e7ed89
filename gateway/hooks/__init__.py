"""Hooks: somebody else's word on requests and replies, such as a guardrail's."""
