"""The pipeline: its flows, and the stages, decisions and services that they use."""
