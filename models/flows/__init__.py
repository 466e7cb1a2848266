"""Invertible maps over vectors."""
