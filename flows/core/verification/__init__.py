"""When a release is verified, and when its replicas speak against it."""
