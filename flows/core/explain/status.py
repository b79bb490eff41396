"""What every system said when it was asked: the facts from which `slipway why` explains an environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flows.core.local_time import wall_time
from flows.core.model.model import ModelVersionSeen, Pin
from flows.core.release import record as records
from flows.core.release.decision import Candidate, EnvironmentSnapshot
from flows.core.release.manifests_source import ManifestsSource
from flows.core.release.record import Record


@dataclass(frozen=True)
class Away:
    """That system could not be asked, and why: `because` is a sentence."""

    system: str
    because: str


@dataclass(frozen=True)
class Seen:
    """A flow run: its state's type (COMPLETED), name (Refused) and message, and the link to its page."""

    state: str
    state_name: str
    message: str
    link: str


@dataclass(frozen=True)
class Place:
    """An environment: what its cluster says of it, and whether it asks for approval."""

    name: str
    snapshot: EnvironmentSnapshot | Away
    approval: bool = False

    @property
    def live(self) -> Record | None:
        """The live release, as far as that is known."""
        return None if isinstance(self.snapshot, Away) else records.live(self.snapshot.history)


@dataclass(frozen=True)
class Store:
    """What the model store says: the model that the next image gets, the newest version, and the pin."""

    wanted: ModelVersionSeen
    newest: str
    pin: Pin | None = None


@dataclass(frozen=True)
class DeploymentStatus:
    """What is known about one environment. Times are shown in the time zone of `now`, the project's.

    - `here`: the environment. `upstream`: the one that it promotes from.
    - `latest`: the image that `latest` names. `promotable`: the newest image that is good in `upstream`.
    - `manifests`: the folder that `[manifests] ref` names.
    - `head`: the newest commit of the released branch. `base`: the base image's digest in its registry.
    - `build`: the newest run of ci for `head` with the store's model and that base image.
    - `releases`: by content, the newest run that is to release it here. `upstream_releases`: to `upstream`.
    - `night`: when the next night is due; in the past where no worker has started its run.
    """

    now: datetime
    here: Place
    upstream: Place | None = None
    latest: Candidate | Away | None = None
    promotable: Candidate | Away | None = None
    manifests: ManifestsSource | Away | None = None
    head: str | Away = ""
    store: Store | Away = Away("the model store", "")
    base: str | Away = ""
    build: Seen | Away | None = None
    releases: Mapping[str, Seen] | Away = field(default_factory=dict)
    upstream_releases: Mapping[str, Seen] | Away = field(default_factory=dict)
    night: datetime | Away | None = None
    link: Callable[[str], str] = str

    def time(self, moment: datetime) -> str:
        """The moment as text, in the project's time zone."""
        return wall_time(moment, self.now.tzinfo)

    @property
    def away(self) -> list[Away]:
        """The systems that could not be asked, each once."""
        asked = (
            self.here.snapshot,
            self.upstream.snapshot if self.upstream else None,
            self.latest,
            self.promotable,
            self.head,
            self.manifests,
            self.store,
            self.base,
            self.build,
            self.releases,
            self.upstream_releases,
            self.night,
        )
        return list({one.system: one for one in asked if isinstance(one, Away)}.values())
