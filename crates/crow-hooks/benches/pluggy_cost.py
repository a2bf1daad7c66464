"""Times a call of a pluggy hook with some impls: one line "impls nanoseconds" each."""

import timeit

import pluggy

spec, impl = pluggy.HookspecMarker("bench"), pluggy.HookimplMarker("bench")


class Spec:
    @spec
    def notify(self, number):
        pass


class Plugin:
    @impl
    def notify(self, number):
        pass


for count in (0, 1, 10, 100):
    manager = pluggy.PluginManager("bench")
    manager.add_hookspecs(Spec)
    for _ in range(count):
        manager.register(Plugin())
    timer = timeit.Timer(lambda: manager.hook.notify(number=1))
    times = max(200, 20000 // (count + 1))
    print(count, min(timer.repeat(7, times)) / times * 1e9)
