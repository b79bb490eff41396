"""What a run of ci found out and did, for the page that closes it and the page of its branch."""

from dataclasses import dataclass

from flows.core.build.commit import Commit
from flows.core.build.image import Image
from flows.core.build.latest import Keep, Move
from flows.core.model.model import Model


@dataclass
class CiReport:
    """One run of ci, as far as it has come; "" and None: not known, or not applicable.

    `requested` is what was asked for, `branch` the one that was announced. `tests` are the results, or in
    which run they passed. `code_half` and `model_half` say where each half of a composed image came from,
    `model_files` how the model got onto the machine. `is_built` is False where the registry had the image;
    `is_composed` is True where it had the code half, so that nothing was built.
    `duel` says how the duel ended, or why there was none; `forced` how a person overrode it.
    """

    requested: str
    branch: str = ""
    commit: Commit | None = None
    passed_over: str = ""
    model: Model | None = None
    capsule: str = ""
    changed: str = ""
    tests: str = ""
    code_half: str = ""
    model_half: str = ""
    model_files: str = ""
    image: Image | None = None
    is_built: bool | None = None
    is_composed: bool = False
    duel: str = ""
    forced: str = ""
    latest: Move | Keep | None = None
    outcome: str = ""

    @property
    def built_branch(self) -> str:
        """The branch that the commit is on, once it is known; until then the one that was announced."""
        return self.commit.branch if self.commit else self.branch
