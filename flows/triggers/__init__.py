"""What turns an event from outside, or what is wanted and not there, into a flow run."""
