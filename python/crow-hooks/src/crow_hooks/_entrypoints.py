"""Plugins of installed distributions: a broken one is reported, and an unused one need not be imported."""

from __future__ import annotations

import importlib.metadata


class Loaded:
    """What ``PluginManager.load_entrypoints`` did."""

    def __init__(self):
        #: Names of plugins that are registered.
        self.loaded = []
        #: Names of plugins that will be imported when a hook needs them.
        self.lazy = []
        #: What was wrong with the others, by name.
        self.failed = {}

    def __repr__(self):
        return f"<Loaded loaded={self.loaded!r} lazy={self.lazy!r} failed={self.failed!r}>"


def load(manager, group, name, lazy):
    """See ``PluginManager.load_entrypoints``."""
    report = Loaded()
    for dist in list(importlib.metadata.distributions()):
        for entry_point in dist.entry_points:
            if entry_point.group != group or (name is not None and entry_point.name != name):
                continue
            if (
                manager.has_plugin(entry_point.name)
                or manager.is_blocked(entry_point.name)
                or any(each.entry_point.name == entry_point.name for each in manager._crow_lazy)
            ):
                continue
            pending = Pending(entry_point, dist)
            if lazy:
                manager._crow_wait_for(pending)
                report.lazy.append(entry_point.name)
                continue
            error = pending.register(manager)
            if error is None:
                report.loaded.append(entry_point.name)
            else:
                report.failed[entry_point.name] = error
    return report


class Pending:
    """A plugin that is not imported yet."""

    def __init__(self, entry_point, dist):
        self.entry_point = entry_point
        self.dist = dist
        #: The hooks it says it implements, ``name = "module:plugin [hook, hook]"``; empty if it does not say.
        self.hooks = frozenset(entry_point.extras)

    def wants(self, hook):
        """Whether it may implement a hook."""
        return not self.hooks or hook in self.hooks

    def register(self, manager):
        """Import and register it; gives what went wrong, ``None`` if nothing did."""
        name = self.entry_point.name
        if manager.has_plugin(name) or manager.is_blocked(name):
            return None
        try:
            plugin = self.entry_point.load()
            manager.register(plugin, name=name)
        # A plugin that calls `sys.exit` when imported is broken too.
        except (Exception, SystemExit) as error:
            return error
        manager._plugin_distinfo.append((plugin, self.dist))
        return None
