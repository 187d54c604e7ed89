"""The process around the gateway: worker RPC, reload, upgrade, signs of life, and the banner."""
