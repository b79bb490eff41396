"""The docker engine: builds, tests, smoke tests, pushes."""
