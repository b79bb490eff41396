"""One outside system a module; none of them knows Prefect."""
