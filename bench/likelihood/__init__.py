"""Estimates of log p(x) for a trained model; knows no result row."""
