"""Pages in words: what the rows of a results folder say."""
