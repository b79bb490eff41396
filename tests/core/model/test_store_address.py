"""Where a store is, as slipway.toml says it."""

import pytest

from flows.core.model.store_address import StoreAddress

SUFFIX = "blob.core.windows.net"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("az://models", StoreAddress("az", "models")),
        ("az://models/", StoreAddress("az", "models")),
        ("az://acme/models", StoreAddress("az", "models", "acme")),
        ("az://acme/models/team/a", StoreAddress("az", "models", "acme", "team/a")),
        ("az://acme.blob.example.org:8443/m", StoreAddress("az", "m", "acme.blob.example.org:8443")),
        ("s3://acme-models", StoreAddress("s3", "acme-models")),
        ("s3://acme.models/team/", StoreAddress("s3", "acme.models", folder="team")),
        ("file:///srv/models", StoreAddress("file", "", folder="/srv/models")),
    ],
)
def test_an_address_is_taken_apart(text: str, expected: StoreAddress) -> None:
    assert StoreAddress.parse(text) == expected
    assert StoreAddress.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "models",
        "az://",
        "az:///models",
        "az://acme/models?sv=2024&sig=c2ln",
        "az://user:s3cret@acme/models",
        "s3://",
        "s3://key:s3cret@bucket",
        "file://models",
        "https://acme.blob.core.windows.net/models",
    ],
)
def test_what_is_no_address_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"must be az://<container>, .* with neither keys nor a signature"
    ) as no:
        StoreAddress.parse(text)
    assert "s3cret" not in str(no.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("az://models", None),
        ("az://acme/models", f"https://acme.{SUFFIX}"),
        ("az://acme.privatelink.example.org/models", "https://acme.privatelink.example.org"),
    ],
)
def test_an_account_is_reached_at_its_cloud_or_where_its_host_name_says(text: str, expected: str) -> None:
    assert StoreAddress.parse(text).account_url(SUFFIX) == expected
