"""The command line: words in, one error line and an exit code out."""
