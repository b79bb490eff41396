"""Commands, cancellation and files on this machine."""
