"""Suites, training, evaluation and reports of generative autoencoders."""
