"""The process: worker RPC, reload, the banner at the start."""
