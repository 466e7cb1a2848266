"""Scores of generative models, each computed from outputs alone."""
