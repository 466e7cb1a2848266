"""The regression check of results against a stored baseline."""
