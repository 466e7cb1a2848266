"""Tables made of result rows, one file a table."""
