"""Bayesian optimisation of codes: arrays and callables in, judged candidates out."""
