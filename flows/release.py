"""Release: an image from the registry becomes what an environment's users reach."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import tasks
from flows.core.release import Skip
from flows.flow_run import reported_run


@flow(name="release", flow_run_name="{environment} ← {image}")
def release(
    environment: str = "production", image: str = "latest", reason: str = "", force: bool = False
) -> State[None]:
    """Roll an image out to an environment, and prove it from outside.

    Args:
        environment: one of those in slipway.toml.
        image: `latest`, a tag, a capsule's hash, or a digest (sha256:...).
        reason: why, for whoever reads it later.
        force: release even if the same is live already.
    """
    with reported_run("release") as (run, facts):
        run.settings.environment(environment)  # an unknown one is told before anything is asked
        candidate = tasks.find_candidate(run, image)
        facts |= {
            "environment": environment,
            "asked for": image,
            "reason": reason or "none given",
            "commit": candidate.commit,
            "model": f"{candidate.model} {candidate.model_version}",
            "capsule": candidate.capsule,
            "image": candidate.image,
        }
        manifests = tasks.render_manifests(run, environment, candidate)
        decision = tasks.decide(run, environment, candidate, manifests, force=force)
        facts["decision"] = f"{type(decision).__name__}: {decision.reason}"
        if isinstance(decision, Skip):
            return Completed(message=f"Nothing to release to {environment}: {decision.reason}.")
        tasks.apply_manifests(run, environment, candidate, manifests, reason=reason)
        tasks.watch_rollout(run, environment)
        proof = tasks.prove(run, environment, candidate)
        facts["proof"] = proof
        return Completed(message=f"{environment} runs {candidate}: {decision.reason}.")
