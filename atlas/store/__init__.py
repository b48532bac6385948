"""The database: addresses, batches that arrive exactly once, serving, maintenance."""
