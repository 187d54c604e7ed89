"""What is answered without a model: health, lists, stored responses, dry runs.

handlers           the base classes
health, status     /healthz, /readyz and /metrics; /debug/upstreams and /debug/quirks
models             the lists of models; picker: for Claude Code and Codex; ollama: what its clients ask
stored_responses   /v1/responses/ID; upstream_query: asks the upstream that keeps it
dry_run            /debug/translate
elsewhere, astray  paths that are not served, and what was probably meant
"""
