"""Where everything stands, as the systems said when they were asked: what `why` explains a place by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flows.core.local_time import wall_time
from flows.core.model.model import ModelVersionSeen, Pin
from flows.core.release import record as records
from flows.core.release.decision import Candidate, EnvironmentSnapshot
from flows.core.release.record import Record


@dataclass(frozen=True)
class Away:
    """That system could not be asked, and why: `because` is a sentence."""

    system: str
    because: str


@dataclass(frozen=True)
class Seen:
    """A flow run: its state's type (COMPLETED) and name (Refused), what it says, where a person sees it."""

    state: str
    state_name: str
    message: str
    link: str


@dataclass(frozen=True)
class Place:
    """An environment: what its cluster says of it, and whether it asks for approval."""

    name: str
    situation: EnvironmentSnapshot | Away
    approval: bool = False

    @property
    def live(self) -> Record | None:
        """The release that is in force, as far as that is known."""
        return None if isinstance(self.situation, Away) else records.live(self.situation.history)


@dataclass(frozen=True)
class Store:
    """What the model store says: the model that is wanted, the newest version, and the pin."""

    wanted: ModelVersionSeen
    newest: str
    pin: Pin | None = None


@dataclass(frozen=True)
class DeploymentStatus:
    """All of it. `now` is in the project's time zone, in which times are shown.

    `promotable` is the newest image that is good where the environment promotes from, `head` the newest
    commit of the released branch, `build` the newest run of ci for it with the wanted model, `releases` the
    newest run that means to bring a content to this environment, `upstream_releases` the same of where it
    promotes from, `night` when the next one is due, or was where no worker has taken it up.
    """

    now: datetime
    here: Place
    upstream: Place | None = None
    latest: Candidate | Away | None = None
    promotable: Candidate | Away | None = None
    head: str | Away = ""
    store: Store | Away = Away("the model store", "")
    build: Seen | Away | None = None
    releases: Mapping[str, Seen] | Away = field(default_factory=dict)
    upstream_releases: Mapping[str, Seen] | Away = field(default_factory=dict)
    night: datetime | Away | None = None
    link: Callable[[str], str] = str

    def time(self, moment: datetime) -> str:
        """As people read it."""
        return wall_time(moment, self.now.tzinfo)

    @property
    def away(self) -> list[Away]:
        """The systems that could not be asked, each once."""
        asked = (
            self.here.situation,
            self.upstream.situation if self.upstream else None,
            self.latest,
            self.promotable,
            self.head,
            self.store,
            self.build,
            self.releases,
            self.upstream_releases,
            self.night,
        )
        return list({one.system: one for one in asked if isinstance(one, Away)}.values())
