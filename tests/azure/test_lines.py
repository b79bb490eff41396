"""Each command line of `az` that the project shows or runs is one that the real `az` takes."""

import pytest

from tests.support import azure_cli
from tests.support.az_lines import Line, all_lines, in_code, in_page, in_script
from tests.support.azure_cli import AzureCli

NEEDS_MORE = "the following arguments are required"


def refused(az: AzureCli) -> list[str]:
    lines = all_lines()
    complaints = az.complaints([line.words for line in lines])
    return [
        f"{line}: {complaint}"
        for line, complaint in zip(lines, complaints, strict=True)
        if complaint and not (names_a_command(line) and NEEDS_MORE in complaint)
    ]


def names_a_command(line: Line) -> bool:
    """A text about a command, such as `az acr login`, is not to be typed as it is."""
    return not any(word.startswith("-") for word in line.words)


def test_az_takes_every_line() -> None:
    az = azure_cli.installed()
    if az is None:
        pytest.skip("azure-cli is not installed on this machine; `make test-slow` installs it")
    assert refused(az) == []


@pytest.mark.slow
@pytest.mark.xdist_group("azure-cli")
def test_az_takes_every_line_on_a_machine_that_had_none() -> None:
    assert refused(azure_cli.ensure()) == []


@pytest.mark.slow
@pytest.mark.xdist_group("azure-cli")
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("grop create --name x", "there is no command grop create"),
        ("group create --name x", "required: --location/-l"),
        ("aks create --name x -g x --enable-workload-identit", "is no option"),
        ("storage account create --name x -g x --sku Standard_XRS", "'Standard_XRS' is none of"),
    ],
)
def test_a_wrong_line_is_noticed(line: str, complaint: str) -> None:
    (found,) = azure_cli.ensure().complaints([line.split()])
    assert found is not None
    assert complaint in found


def test_lines_of_a_script_are_found_with_their_variables_filled() -> None:
    script = """
say "Sign in first: az login --tenant TENANT"
az() { command az "$@" --only-show-errors; }
id=$(az acr show --name "$name" \\
    --query id --output tsv) || stop
if [ "$(az group exists --name "$group")" != true ]; then
    command az account show ${one:+--subscription "$one"} --sku "$registry_sku" | head
fi
"""
    assert [" ".join(words) for words in in_script(script)] == [
        "acr show --name x --query id --output tsv",
        "group exists --name x",
        "account show --sku Standard",
        "login --tenant TENANT",
    ]


def test_lines_of_pages_and_of_errors_are_found() -> None:
    page = "Type `az login`.\n```sh\naz group list \\\n  --output tsv # all\n```\n`azurite` is none.\n"
    assert [*in_page(page)] == [("group", "list", "--output", "tsv"), ("login",)]
    code = """
f"Create it (az group create --name {name})."
"As az says."
f"Start it: az aks start --name {name}. It" " is stopped."
"Register it: az provider register --namespace Microsoft.Storage"
"""
    assert [" ".join(words) for words in in_code(code)] == [
        "group create --name x",
        "aks start --name x",
        "provider register --namespace Microsoft.Storage",
    ]
