"""Git repositories, and commit statuses at their hosts."""
