"""Feature extractors, one file each, and the way to 8-bit images."""
