"""A flow run's log: which lines the stages wrote, and which one closes it."""

ENDED = "Finished in state"
ENGINE_TALK = (
    ENDED,
    "Beginning flow run",
    "Encountered exception during execution",
    "Engine execution exited",
)


def is_of_a_stage(logger: str, message: str) -> bool:
    """Whether a stage wrote it, and not Prefect about itself."""
    return logger != "prefect.flow_runs.worker" and not message.startswith(ENGINE_TALK)


def closes(message: str, *, of_task: bool) -> bool:
    """Whether it is the last line of a flow run's log: its final state, as Prefect's engine writes it."""
    return message.startswith(ENDED) and not of_task
