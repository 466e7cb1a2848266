"""Plots made of result rows and saved arrays, one file a kind of plot."""
