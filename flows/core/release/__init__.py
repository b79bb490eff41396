"""Releases: their records, and whether one may start."""
