"""Where models and cached test results are: `az://…`, `s3://…` or `file://…` in slipway.toml."""

import re
from dataclasses import dataclass
from typing import Literal, Self

FORMS = "az://<container>, az://<account>/<container>, s3://<bucket> or file:///<folder>"

_NAME = r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}"
_FOLDER = r"(?:/(?P<folder>[^?#]*))?"
_ADDRESS = re.compile(
    rf"(?P<az>az)://(?P<alone>{_NAME})/?"
    rf"|az://(?P<account>[a-z0-9][a-z0-9.-]*(?::[0-9]+)?)/(?P<container>{_NAME}){_FOLDER}"
    rf"|s3://(?P<bucket>{_NAME})" + _FOLDER.replace("folder", "below") + r"|file://(?P<path>/[^?#]*)"
)

Kind = Literal["az", "s3", "file"]


@dataclass(frozen=True)
class StoreAddress:
    """A container of Azure Blob Storage, a bucket, or a folder.

    `account` is that of Azure, or its full host name if it has a dot; None: the block names it. `folder` is
    the part below the container that is used, and of `file` the whole path.
    """

    kind: Kind
    container: str
    account: str | None = None
    folder: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`ValueError` says which forms there are."""
        found = _ADDRESS.fullmatch(text)
        if found is None:
            raise ValueError(f"must be {FORMS}, with neither keys nor a signature")
        if found["alone"]:
            return cls("az", found["alone"])
        if found["container"]:
            return cls("az", found["container"], found["account"], (found["folder"] or "").strip("/"))
        if found["bucket"]:
            return cls("s3", found["bucket"], folder=(found["below"] or "").strip("/"))
        return cls("file", "", folder=found["path"])

    def account_url(self, suffix: str) -> str | None:
        """The URL of Azure's account, in a cloud whose blob endpoints end with `suffix`."""
        if self.account is None:
            return None
        return f"https://{self.account if '.' in self.account else f'{self.account}.{suffix}'}"

    def __str__(self) -> str:
        if self.kind == "file":
            return f"file://{self.folder}"
        return f"{self.kind}://{'/'.join(filter(None, (self.account, self.container, self.folder)))}"
