"""``crow-hooks``: types of a project's hooks."""

from __future__ import annotations

import argparse
import os
import sys

from ._stubs import generate


def main(args=None):
    """The command line."""
    parser = argparse.ArgumentParser(prog="crow-hooks")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    stubs = commands.add_parser("stubs", help="write the types of a project's hooks, from its specifications")
    stubs.add_argument("specs", help="where the hook specifications are: package.module or package.module:Class")
    stubs.add_argument("--project", required=True, help="the name of the project, as its markers have it")
    stubs.add_argument("--output", help="the file to write, e.g. mypackage/hook_types.py; standard output if not given")
    given = parser.parse_args(args)
    sys.path.insert(0, os.getcwd())
    text = generate(given.specs, given.project)
    if given.output is None:
        sys.stdout.write(text)
    else:
        with open(given.output, "w", encoding="utf-8") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
