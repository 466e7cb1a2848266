"""The coordinates in which data are modelled."""
