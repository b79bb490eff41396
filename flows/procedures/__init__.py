"""Sequences of tasks that several flows share."""
