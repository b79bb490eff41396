"""Run by the Python of azure-cli: parses command lines with its own parser, and runs none of them.

Standard input is a JSON list of command lines, each a list of words without `az`. Standard output is a list
with a complaint, or null, for each.
"""

import json
import sys
from typing import Any, NoReturn

from azure.cli.core import get_default_cli
from azure.cli.core.parser import AzCliCommandParser


class RefusedError(Exception):
    """The parser does not take the line."""


def refuse(_parser: object, message: str) -> NoReturn:
    raise RefusedError(message)


def check_value(_parser: object, action: Any, value: object) -> None:
    if action.choices is not None and value not in action.choices:
        raise RefusedError(f"{value!r} is none of {', '.join(map(str, list(action.choices)[:12]))}")


AzCliCommandParser.error = refuse
AzCliCommandParser._check_value = check_value  # which else searches all modules for what may be meant
CLI = get_default_cli()


def parse(words: list[str]) -> None:
    """Do what azure.cli.core.commands.AzCliCommandInvoker does before it runs a command."""
    invocation = CLI.invocation_cls(
        cli_ctx=CLI,
        parser_cls=CLI.parser_cls,
        commands_loader_cls=CLI.commands_loader_cls,
        help_cls=CLI.help_cls,
    )
    CLI.invocation = invocation
    invocation.data["command_string"] = ""
    loader = invocation.commands_loader
    loader.load_command_table(words)
    command = invocation._rudimentary_get_command(words)
    invocation.data["command_string"] = command  # without it, the arguments of storage are not loaded
    if command not in loader.command_table:
        raise RefusedError(f"there is no command {' '.join(words[:4])}")
    loader.command_table = {command: loader.command_table[command]}
    loader.command_name = command
    CLI.raise_event("CommandInvoker.OnPreLoadArguments", commands_loader=loader)
    loader.load_arguments(command)
    for event in ("OnPostLoadArguments", "OnPostCommandTableCreate"):
        CLI.raise_event(f"CommandInvoker.{event}", commands_loader=loader)
    invocation.parser.cli_ctx = CLI
    invocation.parser.load_command_table(loader)
    CLI.raise_event(
        "CommandInvoker.OnCommandTableLoaded", cmd_tbl=loader.command_table, parser=invocation.parser
    )
    parsed = invocation.parser.parse_args(words)
    known = invocation.parser.subparser_map[command]._option_string_actions
    for word in words:
        if word.startswith("--") and word.split("=")[0] not in known:
            raise RefusedError(f"{word} is no option: argparse took it for the beginning of one")
    if parsed.func.deprecate_info:
        raise RefusedError("it is deprecated")


def complaint(words: list[str]) -> str | None:
    try:
        parse(words)
    except RefusedError as refused:
        return str(refused)
    return None


print(json.dumps([complaint(words) for words in json.load(sys.stdin)]))
