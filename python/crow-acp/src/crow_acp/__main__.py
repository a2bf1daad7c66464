"""The console script `crow-acp`."""

from __future__ import annotations

import sys

from crow_acp import _crow


def main() -> None:
    """Runs the command line."""
    args = sys.argv[1:]
    if args[:1] == ["plugin"]:
        from crow_acp import _scaffold

        sys.exit(_scaffold.main(args[1:]))
    sys.stdout.flush()
    if args[:1] == ["acp"]:
        # Standard output belongs to the protocol.
        sys.stdout = sys.stderr
    sys.exit(_crow.main(args))


if __name__ == "__main__":
    main()
