"""crow_hooks beside pluggy and beside a bare loop in C, in one process, run by run in turn.

Run it by `cargo xtask bench-python`, which installs both into one environment. Options:

  --json              one JSON object instead of the table
  --rounds N          rounds per case (default 60); the figure is the median over rounds
  --only NAME         only cases whose name contains NAME
  --instructions      instructions per call instead of time, by callgrind (needs valgrind)
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import crow_hooks
import pluggy


HERE = Path(__file__).parent


def floor_type():
    """The callable in `floor.c`, compiled for this interpreter."""
    folder = Path(tempfile.gettempdir()) / f"crow-floor-{sys.implementation.cache_tag}-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    target = folder / "floor.so"
    if not target.exists() or target.stat().st_mtime < (HERE / "floor.c").stat().st_mtime:
        include = sysconfig.get_paths()["include"]
        compiler = ["cc", "-O2", "-shared", "-fPIC", f"-I{include}", str(HERE / "floor.c"), "-o", str(target)]
        subprocess.run(compiler, check=True)
    spec = importlib.util.spec_from_file_location("floor", target)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Floor


def implementation(number):
    """A function of its own, so that no two share a code object's caches."""
    scope = {}
    exec(f"def impl(arg1, arg2, arg3):\n    return {number}\n", scope)
    return scope["impl"]


def wrapper(old):
    scope = {}
    if old:
        exec("def impl(arg1, arg2, arg3):\n    outcome = yield\n", scope)
    else:
        exec("def impl(arg1, arg2, arg3):\n    return (yield)\n", scope)
    return scope["impl"]


def manager(engine, impls=0, wrappers=0, old=0, firstresult=False):
    """A manager with so many plugins, each with one function, and the plain functions."""
    hookspec, hookimpl = engine.HookspecMarker("bench"), engine.HookimplMarker("bench")

    class Specs:
        @hookspec(firstresult=firstresult)
        def hook(self, arg1, arg2, arg3):
            """The hook."""

    pm = engine.PluginManager("bench")
    pm.add_hookspecs(Specs)
    functions = []
    for number in range(impls + wrappers + old):
        if number < impls:
            function = implementation(number)
            functions.append(function)
            marked = hookimpl(function)
        elif number < impls + wrappers:
            marked = hookimpl(wrapper(False), wrapper=True)
        else:
            marked = hookimpl(wrapper(True), hookwrapper=True)
        plugin = type(f"Plugin{number}", (), {"hook": staticmethod(marked)})
        pm.register(plugin, name=f"plugin{number}")
    return pm, functions


def calls(function, count):
    """Seconds for so many calls, the same loop for everybody."""
    # The processor's time: what else runs on the machine is not measured.
    clock = time.process_time
    loop = range(count)
    start = clock()
    for _ in loop:
        function(arg1=1, arg2=2, arg3=3)
    return clock() - start


def plain(**options):
    def prepare(engine):
        pm, functions = manager(engine, **options)
        return pm.hook.hook, functions

    return prepare


def traced(engine):
    pm, functions = manager(engine, impls=10)
    pm.enable_tracing()
    return pm.hook.hook, functions


def monitored(engine):
    pm, functions = manager(engine, impls=10)
    pm.add_hookcall_monitoring(lambda name, impls, kwargs: None, lambda outcome, name, impls, kwargs: None)
    return pm.hook.hook, functions


def subset(engine):
    pm, functions = manager(engine, impls=11)
    return pm.subset_hook_caller("hook", [pm.get_plugin("plugin0")]), functions[1:]


def extra(engine):
    pm, functions = manager(engine, impls=10)
    call_extra, more, kwargs = pm.hook.hook.call_extra, [implementation(99)], {"arg1": 1, "arg2": 2, "arg3": 3}
    return (lambda arg1, arg2, arg3: call_extra(more, kwargs)), functions


def registering(engine):
    pm, _ = manager(engine)
    hookimpl = engine.HookimplMarker("bench")

    class Plugin:
        @hookimpl
        def hook(self, arg1):
            """An impl."""

        def other(self):
            """No impl."""

    plugin = Plugin()

    def call(arg1, arg2, arg3):
        pm.register(plugin)
        pm.unregister(plugin)

    return call, None


#: Name, how it is prepared, how many times faster it should be than pluggy, the goal as a multiple of the floor.
CASES = [
    ("0 impls", plain(), 10, 1.35),
    ("1 impl", plain(impls=1), 10, 1.35),
    ("10 impls", plain(impls=10), 10, 1.35),
    ("100 impls", plain(impls=100), 9, 1.35),
    ("firstresult, 10 impls", plain(impls=10, firstresult=True), None, None),
    ("1 impl + 1 wrapper", plain(impls=1, wrappers=1), 10, None),
    ("10 impls + 10 wrappers", plain(impls=10, wrappers=10), 7, None),
    ("10 impls + 10 old-style wrappers", plain(impls=10, old=10), 5, None),
    ("10 impls, traced", traced, 5, None),
    ("10 impls, monitored", monitored, 5, None),
    ("10 impls, subset", subset, 5, None),
    ("10 impls, call_extra", extra, 5, None),
    ("register + unregister", registering, None, None),
]


def measure(case, rounds, floor):
    name, prepare, goal, floor_goal = case
    ours, functions = prepare(crow_hooks)
    theirs, _ = prepare(pluggy)
    assert repr(ours(arg1=1, arg2=2, arg3=3)) == repr(theirs(arg1=1, arg2=2, arg3=3))
    bare = floor(tuple(functions[::-1])) if floor_goal else None
    contestants = [each for each in (ours, theirs, bare) if each is not None]
    # So many calls that a round takes about a millisecond.
    counts = [max(20, int(0.001 / (calls(each, 200) / 200))) for each in contestants]
    times = [[] for _ in contestants]
    for number in range(rounds):
        order = range(len(contestants)) if number % 2 else reversed(range(len(contestants)))
        for at in order:
            times[at].append(calls(contestants[at], counts[at]) / counts[at])
    # The price of the loop itself is nobody's.
    ours_ns, theirs_ns, *rest = (statistics.median(each) * 1e9 for each in times)
    row = {"case": name, "crow_hooks": ours_ns, "pluggy": theirs_ns, "times faster": theirs_ns / ours_ns}
    # Set for 3.11. Where Python calls a function more slowly, as in 3.12, even the floor would miss them.
    row["goal"] = goal if sys.version_info[:2] == (3, 11) else None
    if rest:
        row["floor"] = rest[0]
        row["of the floor"] = ours_ns / rest[0]
        row["floor goal"] = floor_goal
    return row


def awaiting(rounds):
    """An awaited call of one async and one sync impl; pluggy has nothing like it."""
    pm, _ = manager(crow_hooks, impls=1)
    hookimpl = crow_hooks.HookimplMarker("bench")

    async def hook(arg1):
        return "async"

    pm.register(type("Async", (), {"hook": staticmethod(hookimpl(hook))}), name="async")

    async def run():
        ahook, clock, times = pm.ahook.hook, time.process_time, []
        for _ in range(rounds):
            start = clock()
            for _ in range(200):
                await ahook(arg1=1, arg2=2, arg3=3)
            times.append((clock() - start) / 200)
        return statistics.median(times) * 1e9

    return {"case": "awaited, 1 sync + 1 async impl", "crow_hooks": asyncio.run(run()), "limit": 40_000}


def importing(module):
    """Milliseconds of processor time that an import takes, the fastest of many processes."""
    program = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(20)]
    return min(runs) * 1e3


def imports():
    row = {"case": "import (ms)", "crow_hooks": importing("crow_hooks"), "pluggy": importing("pluggy"), "limit": 3}
    row["times faster"] = row["pluggy"] / row["crow_hooks"]
    return row


def missed(row):
    """Whether a figure misses its goal."""
    return (
        (row.get("goal") and row["times faster"] < row["goal"])
        or (row.get("floor goal") and row["of the floor"] > row["floor goal"])
        or (row.get("limit") and row["crow_hooks"] > row["limit"])
    )


def instructions(only):
    """Instructions per call, by callgrind: the difference between two runs, so that starting Python does not count."""
    rows = []
    for name, *_ in CASES:
        if only and only not in name:
            continue
        row = {"case": name}
        for engine in ("crow_hooks", "pluggy"):
            totals = []
            for count in (200, 1200):
                command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
                command += [__file__, "--one", name, "--engine", engine, "--calls", str(count)]
                done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"})
                line = next((line for line in done.stderr.splitlines() if "Collected" in line), None)
                if line is None:
                    raise SystemExit(done.stderr)
                totals.append(int(line.rsplit(":", 1)[1]))
            row[engine] = (totals[1] - totals[0]) / 1000
        row["times fewer"] = row["pluggy"] / row["crow_hooks"]
        rows.append(row)
        print(f"{name:36} {row['crow_hooks']:12,.0f} {row['pluggy']:12,.0f} {row['times fewer']:8.1f} x", flush=True)
    return rows


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true")
    options.add_argument("--rounds", type=int, default=60)
    options.add_argument("--only", default="")
    options.add_argument("--instructions", action="store_true")
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("--engine", help=argparse.SUPPRESS)
    options.add_argument("--calls", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()

    if given.one:
        prepare = next(prepare for name, prepare, *_ in CASES if name == given.one)
        function, _ = prepare(crow_hooks if given.engine == "crow_hooks" else pluggy)
        calls(function, given.calls)
        return 0
    if given.instructions:
        print(f"{'instructions per call':36} {'crow_hooks':>12} {'pluggy':>12}")
        instructions(given.only)
        return 0

    floor = floor_type()
    rows = [measure(case, given.rounds, floor) for case in CASES if given.only in case[0]]
    if given.only in "awaited" and hasattr(crow_hooks.PluginManager, "ahook"):
        rows.append(awaiting(given.rounds))
    if given.only in "import":
        rows.append(imports())
    misses = [row["case"] for row in rows if missed(row)]
    if given.json:
        print(json.dumps({"python": sys.version.split()[0], "rows": rows, "missed": misses}, indent=1))
        return bool(misses)
    print(f"CPython {sys.version.split()[0]}, pluggy {pluggy.__version__}; nanoseconds per call, median of {given.rounds}")
    print(f"{'':36} {'crow_hooks':>10} {'pluggy':>10} {'faster':>8} {'goal':>6} {'floor':>8} {'of it':>6}")
    for row in rows:
        line = f"{row['case']:36} {row['crow_hooks']:10,.1f}"
        line += f" {row['pluggy']:10,.1f} {row['times faster']:6.1f} x" if "pluggy" in row else " " * 20
        goal = f"≥ {row['goal']}" if row.get("goal") else f"≤ {row['limit']:,}" if "limit" in row else ""
        line += f" {goal:>6}"
        line += f" {row['floor']:8,.1f} {row['of the floor']:6.2f}" if "floor" in row else ""
        print(line + ("   MISSED" if missed(row) else ""))
    return bool(misses)


if __name__ == "__main__":
    sys.exit(main())
