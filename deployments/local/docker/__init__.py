"""The docker daemon, and the images and containers of the platform."""
