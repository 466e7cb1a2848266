"""The calibration study: how each sample metric answers to known damage of real images."""
