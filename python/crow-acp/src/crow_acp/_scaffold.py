"""`crow-acp plugin`: writes plugin packages. Installing them is an installer's business."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path

_ABOUT = """\
Write a plugin in Python.

Installing a package that has an entry point in the group `crow-acp` is all it takes to use it:

  uv add crow-weather-tool          or: pip install crow-weather-tool
  uv remove crow-weather-tool       or: pip uninstall crow-weather-tool

in the environment that `crow-acp` runs in. `crow-acp plugins` lists what is installed, `crow-acp hooks` who is called when.
"""

_NEXT = """\
Wrote the plugin `{plugin}` to {folder}:
{files}

  cd {folder}
  pip install -e .       # or: uv pip install -e .   From now on it is there, in the terminal and in the editor
  pytest                 # the plugin in the real agent, with a model that says what the test tells it to
  crow-acp hooks before_run
"""

_FILES = ("pyproject.toml", "README.md", "plugin.py", "test_plugin.py")


def main(args: list[str]) -> int:
    """Runs `crow-acp plugin ARGS` and gives the exit code."""
    parser = argparse.ArgumentParser(
        "crow-acp plugin", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="write a plugin package, with a test that passes")
    new.add_argument("name", help="what the plugin is called: word-count. The package is called crow-word-count")
    new.add_argument("--path", type=Path, help="the directory to write; otherwise ./crow-NAME")
    options = parser.parse_args(args)
    try:
        _new(options.name, options.path)
    except (ValueError, OSError) as error:
        print(f"crow-acp plugin new: {error}", file=sys.stderr)
        return 1
    return 0


def _new(name: str, path: Path | None) -> None:
    plugin = name.removeprefix("crow-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", plugin):
        raise ValueError(f"`{name}` is no name for a plugin: small letters, digits and single hyphens, as in word-count")
    package = f"crow-{plugin}"
    module = package.replace("-", "_")
    kind = "".join(word.capitalize() for word in plugin.split("-"))
    if keyword.iskeyword(kind):
        kind += "Plugin"
    folder = path or Path(package)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already; choose another directory with --path")
    places = {
        "pyproject.toml": Path("pyproject.toml"),
        "README.md": Path("README.md"),
        "plugin.py": Path("src", module, "plugin.py"),
        "test_plugin.py": Path("tests", "test_plugin.py"),
    }
    written = []
    for template in _FILES:
        text = files("crow_acp").joinpath("templates", f"{template}.txt").read_text(encoding="utf-8")
        for word, value in {"PLUGIN": plugin, "PACKAGE": package, "MODULE": module, "KIND": kind}.items():
            text = text.replace(f"@{word}@", value)
        written.append(_write(folder / places[template], text))
    written.append(_write(folder / "src" / module / "__init__.py", f'"""{_sentence(package)}"""\n'))
    written.append(_write(folder / "src" / module / "py.typed", ""))
    listed = "\n".join(f"  {file.relative_to(folder)}" for file in sorted(written))
    print(_NEXT.format(plugin=plugin, folder=folder, files=listed), end="")


def _sentence(package: str) -> str:
    return f"The plugin {package} for the coding agent Crow."


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
