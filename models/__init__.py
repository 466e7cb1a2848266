"""Objectives, backbones, data spaces and ex-post densities."""
