"""One run and its directory, and many runs at once."""
