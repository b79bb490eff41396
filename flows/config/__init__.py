"""The settings: slipway.toml and SLIPWAY_* variables."""
