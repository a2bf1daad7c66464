"""Runs programs on pluggy: one program of JSON per line in, its outcomes as one line of JSON out."""

import json
import sys

import pluggy

spec, impl = pluggy.HookspecMarker("model"), pluggy.HookimplMarker("model")


class Specs:
    @spec
    def gather(self, log):
        pass

    @spec(firstresult=True)
    def choose(self, log):
        pass


class Failed(Exception):
    def __init__(self, plugin, number):
        self.plugin, self.number = plugin, number


def put(hook, number):
    return [number] if hook == "gather" else number


def add(hook, result, number):
    return result + [number] if hook == "gather" else (result or 0) + number


def make_impl(manager, plugin, method, what):
    number = what["number"]

    def call(self, log):
        log.append(f"{plugin}.{method}")
        match what["does"]:
            case "value":
                return number
            case "fails":
                raise Failed(plugin, number)
            case "unregisters":
                manager.unregister(name=f"p{number}")
            case "registers":
                simple = [{"hook": "gather", "does": "value", "number": 77, "wrapper": False, "tryfirst": False, "trylast": False}]
                register(manager, f"p{number}", simple)

    return call


def make_wrapper(plugin, method, what):
    number, hook = what["number"], what["hook"]

    def call(self, log):
        log.append(f"{plugin}.{method}>")
        if what["does"] == "fails before":
            raise Failed(plugin, number)
        try:
            result = yield
        except Failed:
            log.append(f"{plugin}.{method}<")
            match what["does"]:
                case "replaces" | "recovers":
                    return put(hook, number)
                case "fails after":
                    raise Failed(plugin, number) from None
            raise
        log.append(f"{plugin}.{method}<")
        match what["does"]:
            case "replaces":
                return put(hook, number)
            case "adds":
                return add(hook, result, number)
            case "fails after":
                raise Failed(plugin, number)
        return result

    return call


def register(manager, name, impls):
    methods = {}
    for at, what in enumerate(impls):
        method = f"m{at}"
        make = make_wrapper(name, method, what) if what["wrapper"] else make_impl(manager, name, method, what)
        methods[method] = impl(
            make, wrapper=what["wrapper"], tryfirst=what["tryfirst"], trylast=what["trylast"], specname=what["hook"]
        )
    try:
        return "ok" if manager.register(type("Plugin", (), methods)(), name) else "blocked"
    except ValueError:
        return "taken"


def run(program):
    manager = pluggy.PluginManager("model")
    manager.add_hookspecs(Specs)
    for op, name, *rest in program:
        match op:
            case "register":
                yield register(manager, name, *rest)
            case "unregister":
                yield manager.unregister(name=name) is not None
            case "block":
                manager.set_blocked(name)
                yield True
            case "unblock":
                yield manager.unblock(name)
            case "call":
                log = []
                try:
                    result = getattr(manager.hook, name)(log=log)
                except Failed as failed:
                    yield [log, failed.plugin, failed.number]
                else:
                    yield [log, result if name == "gather" else [] if result is None else [result]]


assert pluggy.__version__ == "1.7.0", pluggy.__version__
for line in sys.stdin:
    print(json.dumps(list(run(json.loads(line)))))
