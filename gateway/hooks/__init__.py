"""Hooks: services and Python files that check or change requests and replies, such as a guardrail.

hooks       asks them about a request and its reply; asking: one question and its answer
callers     a service by its URL, or a function of a Python file
held_reply  the reply until they have seen all of it
"""
