"""An image out of two halves: each is pushed once, composed by digest, tried out, and then tagged."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.local.docker.engine import connect
from flows.core.build.composition import MARKER
from flows.core.build.image import Image
from flows.core.build.image_retention import Named
from flows.core.errors import BuildFailed, DigestMismatch
from flows.services.images.container_engine import Build
from flows.services.registry.auth import Credentials
from flows.services.registry.halves import tag_image
from flows.stages import ci, halves, housekeeping
from flows.stages.ci import WANTED, Inputs
from flows.stages.context import RunContext
from flows.stages.halves import PushedModel
from tests.flows.team import Team
from tests.support.private_registry import private_registry
from tests.support.team_apart import a_run, base_image_in, team_apart

pytestmark = [pytest.mark.platform, pytest.mark.apart]

MARK = f'LABEL {MARKER}="/model"'


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Credentials]:
    with private_registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="module")
def base_image(login: Credentials) -> Iterator[str]:
    with base_image_in(login) as found:
        yield found


@pytest.fixture
def team(login: Credentials, base_image: str, tmp_path: Path) -> Iterator[Team]:
    with team_apart(tmp_path, login, base_image) as found:
        yield found


@pytest.fixture
def run(team: Team) -> Iterator[RunContext]:
    with a_run() as found:
        yield found


def sealed(run: RunContext) -> Inputs:
    return ci.seal_capsule(run, ci.resolve_commit(run, "HEAD", ""), ci.resolve_model(run, WANTED))


def code_half(run: RunContext, inputs: Inputs) -> Image:
    return halves.push_code_half(run, inputs, halves.build_code_half(run, inputs))


def model_half(run: RunContext, inputs: Inputs) -> PushedModel:
    return halves.push_model_half(run, inputs, ci.fetch_model(run, inputs))


def change_dockerfile(team: Team, line: str, place: str = MARK) -> None:
    """Commit the Dockerfile with that line in place of another."""
    file = team.repository / "Dockerfile.halves"
    text = file.read_text()
    assert place in text
    file.write_text(text.replace(place, line))
    team.commit()


def test_two_halves_become_an_image_that_is_tagged_after_its_trial(team: Team, run: RunContext) -> None:
    inputs = sealed(run)
    code, model = code_half(run, inputs), model_half(run, inputs)
    image = halves.compose_image(run, inputs, code, model)
    assert inputs.tag not in team.tags()
    noted = run.untagged.find(image.digest)
    assert noted
    assert noted.run == run.id
    pulled = halves.pull_image(run, image)
    ci.smoke_test(run, inputs, pulled, model.folder)
    assert halves.tag_image(run, inputs, image, model) == image
    assert run.untagged.find(image.digest) is None
    assert team.registry.image(inputs.capsule.hash) == image
    assert team.registry.attached(inputs.tag) == (model.folder / "manifest.json").read_bytes()
    assert connect().images.get(pulled).tags == [f"{run.registry.name}:{inputs.tag}"]
    assert halves.find_code_half(run, inputs) == code
    found = halves.find_model_half(run, inputs)
    assert found
    assert found.half == model.half


def test_a_build_without_a_cache_gives_another_half_and_the_same_image(
    team: Team, monkeypatch: pytest.MonkeyPatch, run: RunContext
) -> None:
    inputs = sealed(run)
    model, code = model_half(run, inputs), code_half(run, inputs)
    first = halves.compose_image(run, inputs, code, model)
    command = Build.command

    def without_cache(build: Build, *options: Any) -> tuple[str, ...]:
        parts = list(command(build, *options))
        parts.insert(parts.index("build") + 1, "--no-cache")
        return tuple(parts)

    monkeypatch.setattr(Build, "command", without_cache)
    again = code_half(run, inputs)
    assert again != code  # it says when it was built
    assert halves.compose_image(run, inputs, again, model) == first


@pytest.mark.parametrize(
    ("why", "line", "message"),
    [
        ("both ways", f"COPY model /model\n{MARK}", r"line \d+, copies model/, but \[app\] model_path"),
        ("a file above the mark", f"{MARK}\nRUN mkdir /model && touch /model/x", "writes /model/x"),
        ("a file below it", f"RUN mkdir /model && touch /model/x\n{MARK}", "writes /model/x"),
        ("a link", f"{MARK}\nRUN ln -s /srv /model", "writes /model,"),
        ("a volume", f"VOLUME /model\n{MARK}", "declares VOLUME /model"),
    ],
)
def test_a_dockerfile_that_touches_the_models_place_is_refused(
    team: Team, run: RunContext, why: str, line: str, message: str
) -> None:
    change_dockerfile(team, line)
    with pytest.raises(BuildFailed, match=message):
        halves.build_code_half(run, sealed(run))
    assert team.tags() == []


def test_an_empty_folder_at_the_models_place_does_no_harm(team: Team, run: RunContext) -> None:
    change_dockerfile(team, f"{MARK}\nRUN mkdir -p /model")
    halves.build_code_half(run, sealed(run))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("LABEL other=x", r"does not mark where the model belongs, but \[app\] model_path is /model"),
        (f"LABEL {MARKER}=/models", "marks /models as the model's place"),
    ],
)
def test_a_dockerfile_without_the_right_mark_is_refused_before_the_half_is_pushed(
    team: Team, run: RunContext, line: str, message: str
) -> None:
    change_dockerfile(team, line)
    with pytest.raises(BuildFailed, match=message):
        halves.build_code_half(run, sealed(run))


def test_a_mark_without_the_setting_is_refused(
    team: Team, monkeypatch: pytest.MonkeyPatch, run: RunContext
) -> None:
    monkeypatch.setenv("SLIPWAY_APP__MODEL_PATH", "")
    with a_run() as unaware:
        inputs = sealed(unaware)
        with pytest.raises(BuildFailed, match=r"marks a place for the model, but \[app\] model_path"):
            ci.build_image(unaware, inputs, ci.fetch_model(unaware, inputs).folder)


def test_a_model_half_of_another_model_is_refused(team: Team, run: RunContext) -> None:
    inputs = sealed(run)
    model_half(run, inputs)
    other = replace(inputs, model=replace(inputs.model, manifest_digest="sha256:" + "0" * 64))
    with pytest.raises(DigestMismatch, match="holds another manifest than that of"):
        halves.find_model_half(run, other)


@pytest.mark.parametrize("done", range(5))
def test_a_run_after_one_that_was_killed_in_any_stage_ends_with_the_same_image(
    team: Team, run: RunContext, done: int
) -> None:
    inputs = sealed(run)
    stages = ways_to_the_tag(run, inputs)
    for _ in range(done):
        next(stages)
    with a_run() as again:
        found = halves.find_code_half(again, inputs), halves.find_model_half(again, inputs)
        assert [half is not None for half in found] == [done > 0, done > 1]
        *_, image = ways_to_the_tag(again, inputs)
    assert team.registry.image(inputs.capsule.hash) == image
    assert run.untagged.find(image.digest) is None


def ways_to_the_tag(run: RunContext, inputs: Inputs) -> Iterator[Image]:
    """One stage after the other, as far as it is asked for; the last gives the tagged image."""
    code = halves.find_code_half(run, inputs) or code_half(run, inputs)
    yield code
    model = halves.find_model_half(run, inputs) or model_half(run, inputs)
    yield code
    image = halves.compose_image(run, inputs, code, model)
    yield image
    pulled = halves.pull_image(run, image)
    yield image
    ci.smoke_test(run, inputs, pulled, model.folder)
    yield halves.tag_image(run, inputs, image, model)


def test_two_runs_that_compose_at_once_tag_one_image(team: Team, run: RunContext) -> None:
    inputs = sealed(run)
    code, model = code_half(run, inputs), model_half(run, inputs)
    image = halves.compose_image(run, inputs, code, model)
    halves.pull_image(run, image)
    with a_run() as other:
        assert halves.compose_image(other, inputs, code, model) == image
        halves.pull_image(other, image)
        assert halves.tag_image(other, inputs, image, model) == image
    assert halves.tag_image(run, inputs, image, model) == image
    assert run.untagged.find(image.digest) is None


def test_another_image_that_has_the_tag_meanwhile_stays(team: Team, run: RunContext) -> None:
    inputs = sealed(run)
    code, model = code_half(run, inputs), model_half(run, inputs)
    theirs = halves.compose_image(run, inputs, code, model)
    later = replace(inputs.commit, time=inputs.commit.time + timedelta(hours=1))
    image = halves.compose_image(run, inputs, code_half(run, replace(inputs, commit=later)), model)
    assert image != theirs
    halves.pull_image(run, image)
    tag_image(run.registry, theirs, inputs.tag)
    assert halves.tag_image(run, inputs, image, model) == theirs
    assert team.registry.image(inputs.tag) == theirs
    assert run.untagged.find(image.digest)


def test_without_a_registry_the_same_app_is_assembled_on_the_engine(team: Team, run: RunContext) -> None:
    inputs = sealed(run)
    fetched = ci.fetch_model(run, inputs)
    image = halves.assemble_image(run, inputs, halves.build_code_half(run, inputs), fetched)
    ci.smoke_test(run, inputs, image, fetched.folder)
    assert team.tags() == []


def test_an_image_whose_trial_failed_goes_once_it_is_old_and_a_tagged_one_stays(
    team: Team, monkeypatch: pytest.MonkeyPatch, run: RunContext
) -> None:
    monkeypatch.setenv("SLIPWAY_HOUSEKEEPING__IMAGES", "0.000000001")
    monkeypatch.setattr(housekeeping, "find_named", lambda _run: Named())
    inputs = sealed(run)
    code, model = code_half(run, inputs), model_half(run, inputs)
    failed = halves.compose_image(run, inputs, code, model)
    with a_run() as later:
        stock = housekeeping.take_stock(later)
        assert housekeeping.sweep_untagged(later, stock, dry_run=True).count == 1
        assert team.registry.find(failed.digest)
        assert housekeeping.sweep_untagged(later, stock, dry_run=False).count == 1
        assert team.registry.find(failed.digest) is None
        assert later.untagged.find(failed.digest) is None

        image = halves.compose_image(later, inputs, code, model)
        assert image == failed
        halves.pull_image(later, image)
        halves.tag_image(later, inputs, image, model)
        later.untagged.note(image, "killed before it could forget")
        stock = housekeeping.take_stock(later)
        assert housekeeping.sweep_untagged(later, stock, dry_run=False).count == 0
        assert team.registry.find(image.digest)
        assert later.untagged.find(image.digest) is None
