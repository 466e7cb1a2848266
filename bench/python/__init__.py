"""The way in from Python and notebooks: run a suite, fit one model, score two sets of images."""
