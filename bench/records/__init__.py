"""The result row, on disk and in a data frame, and where a number comes from."""
