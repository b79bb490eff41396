"""Azure's clouds: where each has Entra ID and Resource Manager, and how its services' names end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """Addresses of one cloud, without a slash at the end.

    https://learn.microsoft.com/azure/developer/identity/sdk-authentication-sovereign-clouds
    """

    authority: str
    resource_manager: str
    resource_manager_scope: str
    blob_suffix: str


CLOUDS = {
    "public": Cloud(
        "https://login.microsoftonline.com",
        "https://management.azure.com",
        "https://management.azure.com/.default",
        "blob.core.windows.net",
    ),
    "us-government": Cloud(
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "https://management.usgovcloudapi.net/.default",
        "blob.core.usgovcloudapi.net",
    ),
    "china": Cloud(
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/.default",
        "blob.core.chinacloudapi.cn",
    ),
}
"""By the value of `[azure] cloud`."""
