"""The plugin manager."""

from . import _native
from ._errors import PluginValidationError
from ._markers import HookRelay
from ._tracing import TagTracer


class _AsyncHooks:
    """Makes ``pm.ahook`` when it is first asked for. Not a property: derived managers may set their own."""

    def __get__(self, manager, owner):
        if manager is None:
            return self
        from ._async import AsyncHookRelay

        relay = manager.__dict__["ahook"] = AsyncHookRelay(manager)
        return relay


class PluginManager(_native.ManagerBase):
    """Registers plugins and calls their hooks.

    :param project_name: the name that the markers of this project have.
    """

    def __init__(self, project_name):
        #: The project's name.
        self.project_name = project_name
        # `None` stands for a name that is blocked.
        self._name2plugin = {}
        self._plugin_distinfo = []
        #: The hooks: ``pm.hook.name(arg=...)`` calls one.
        self.hook = HookRelay()
        #: Where the manager's own trace messages go.
        self.trace = TagTracer().get("pluginmanage")
        # Plugins that wait to be imported.
        self._crow_lazy = []

    def __class_getitem__(cls, item):
        from types import GenericAlias

        return GenericAlias(cls, item)

    # Registration

    def register(self, plugin, name=None):
        """Register a plugin and give its name; ``None`` if that name is blocked.

        Nothing is changed if one of its hookimpls does not fit.
        """
        if plugin is None:
            return None
        names = self._name2plugin
        plugin_name = name or self.get_canonical_name(plugin)
        if plugin_name in names:
            if names[plugin_name] is None:
                return None
            raise ValueError(f"Plugin name already registered: {plugin_name}={plugin}\n{names}")
        if plugin in names.values():
            raise ValueError(f"Plugin already registered under a different name: {plugin_name}={plugin}\n{names}")

        parse = self.parse_hookimpl_opts
        if getattr(parse, "__func__", None) is PluginManager.parse_hookimpl_opts:
            parse = None
        found = _native.find_impls(self, plugin, plugin_name, parse)

        names[plugin_name] = plugin
        for hook_name, impl, verified in found:
            hook = getattr(self.hook, hook_name, None)
            if hook is None:
                hook = _native.HookCaller(hook_name, self._hookexec)
                setattr(self.hook, hook_name, hook)
            elif not verified and hook.has_spec():
                # A replay to an earlier impl of this plugin has brought the specification.
                self._verify_hook(hook, impl)
            hook._maybe_apply_history(impl)
            hook._add_hookimpl(impl)
            if hook.spec is not None and "isolate" in hook.spec.opts:
                impl._sink = self._crow_isolated
        return plugin_name

    def parse_hookimpl_opts(self, plugin, name):
        """The options of a plugin's attribute as a hookimpl, ``None`` if it is none. For subclasses to override.

        Only functions, methods, class and static methods count, and no code of the plugin is run to find out.
        """
        return _native.marker_opts(plugin, name, self.project_name + "_impl")

    def unregister(self, plugin=None, name=None):
        """Take a plugin out, given itself or its name; gives the plugin, ``None`` if there is no such name."""
        if name is None:
            assert plugin is not None, "one of name or plugin needs to be specified"
            name = self.get_name(plugin)
            assert name is not None, "plugin is not registered"
        if plugin is None:
            plugin = self.get_plugin(name)
            if plugin is None:
                return None
        else:
            of_name = self._name2plugin.get(name)
            of_plugin = self.get_name(plugin)
            if (of_name is not None and of_name is not plugin) or (of_plugin is not None and of_plugin != name):
                raise ValueError(
                    f"Plugin name {name!r} and plugin {plugin!r} do not agree"
                    f" (name is registered to {of_name!r}, plugin is registered as {of_plugin!r})"
                )
        for hook in self.get_hookcallers(plugin) or ():
            hook._remove_plugin(plugin)
        if self._name2plugin.get(name) is not None:
            del self._name2plugin[name]
        return plugin

    def set_blocked(self, name):
        """Keep a name from being registered; a plugin of that name is taken out."""
        self.unregister(name=name)
        self._name2plugin[name] = None

    def is_blocked(self, name):
        """Whether a name is blocked."""
        return name in self._name2plugin and self._name2plugin[name] is None

    def unblock(self, name):
        """Allow a name again; whether it was blocked."""
        if not self.is_blocked(name):
            return False
        del self._name2plugin[name]
        return True

    # Specifications

    def add_hookspecs(self, module_or_class):
        """Add the hook specifications that a module, a class or an object defines."""
        found = False
        for name in dir(module_or_class):
            opts = self.parse_hookspec_opts(module_or_class, name)
            if opts is None:
                continue
            found = True
            hook = getattr(self.hook, name, None)
            if hook is None:
                hook = _native.HookCaller(name, self._hookexec, module_or_class, opts)
                setattr(self.hook, name, hook)
            else:
                # Plugins came before the specification.
                hook.set_specification(module_or_class, opts)
                for impl in hook.get_hookimpls():
                    self._verify_hook(hook, impl)
                    if "isolate" in opts:
                        impl._sink = self._crow_isolated
        if not found:
            raise ValueError(f"did not find any {self.project_name!r} hooks in {module_or_class!r}")

    def parse_hookspec_opts(self, module_or_class, name):
        """The options of an attribute as a hook specification, ``None`` if it is none. For subclasses to override."""
        return _native.marker_opts(module_or_class, name, self.project_name + "_spec")

    def _verify_hook(self, hook, hookimpl):
        if not _native.is_plainly_valid(hook, hookimpl):
            from ._verify import verify

            verify(hook, hookimpl)

    def check_pending(self):
        """Raise ``PluginValidationError`` if a plugin implements a hook that nobody specified."""
        for name, hook in list(self.hook.__dict__.items()):
            if name[0] == "_" or hook.has_spec():
                continue
            for impl in hook.get_hookimpls():
                if not impl.optionalhook:
                    raise PluginValidationError(impl.plugin, f"unknown hook {name!r} in plugin {impl.plugin!r}")

    # Who is there

    def get_plugins(self):
        """The set of all plugins."""
        return {plugin for plugin in self._name2plugin.values() if plugin is not None}

    def is_registered(self, plugin):
        """Whether a plugin is registered."""
        return any(plugin == each for each in self._name2plugin.values())

    def get_canonical_name(self, plugin):
        """The name that a plugin gets if none is given: its ``__name__``, else its id."""
        return getattr(plugin, "__name__", None) or str(id(plugin))

    def get_plugin(self, name):
        """The plugin of this name, ``None`` if there is none."""
        return self._name2plugin.get(name)

    def has_plugin(self, name):
        """Whether there is a plugin of this name."""
        return self.get_plugin(name) is not None

    def get_name(self, plugin):
        """The name that a plugin is registered under, ``None`` if it is not."""
        for name, each in self._name2plugin.items():
            if plugin == each:
                return name
        return None

    def list_name_plugin(self):
        """Pairs of name and plugin; the plugin of a blocked name is ``None``."""
        return list(self._name2plugin.items())

    def get_hookcallers(self, plugin):
        """The hooks that a plugin implements, ``None`` if it is not registered."""
        if self.get_name(plugin) is None:
            return None
        hooks = self.hook.__dict__.values()
        return [hook for hook in hooks if any(impl.plugin is plugin for impl in hook.get_hookimpls())]

    def subset_hook_caller(self, name, remove_plugins):
        """A hook without some of its plugins, live: plugins that come later are called too."""
        whole = getattr(self.hook, name)
        removed = set(remove_plugins)
        removed.intersection_update(impl.plugin for impl in whole.get_hookimpls())
        return _native._SubsetHookCaller(whole, removed) if removed else whole

    # Beyond pluggy: awaited calls, results with names, errors that go no further

    #: The hooks, to be awaited: sync and async implementations in one chain, ``await pm.ahook.name(arg=...)``.
    ahook = _AsyncHooks()

    def call_named(self, hook_name, /, **kwargs):
        """Call a hook; gives pairs of plugin name and result, one pair if the hook gives one result.

        A result that a wrapper made has the name ``None``. For awaited calls there is ``pm.ahook.name.named(...)``.
        """
        from ._async import names_of

        self._crow_load_lazy(hook_name)
        hook = getattr(self.hook, hook_name)
        assert not hook.is_historic(), "Cannot directly call a historic hook - use call_historic instead."
        kwargs = hook._apply_defaults(kwargs)
        hook._verify_all_args_are_provided(kwargs, 2)
        firstresult = bool(hook.spec is not None and hook.spec.opts.get("firstresult", False))
        log = []
        result = _native.named_multicall(hook_name, hook.get_hookimpls(), kwargs, firstresult, log)
        return names_of(result, log, firstresult)

    def on_error(self, hook_name, plugin_name, error):
        """Told of errors that go no further; logs them. May be overridden, or set on a manager."""
        import logging

        where = f"hook {hook_name!r}" if hook_name else "loading"
        logging.getLogger("crow_hooks").error("plugin %r: %s: %r", plugin_name, where, error, exc_info=error)

    def _crow_isolated(self, hook_name, impl, error):
        self.on_error(hook_name, impl.plugin_name, error)

    def load_entrypoints(self, group, name=None, *, lazy=False):
        """As ``load_setuptools_entrypoints``, but a broken plugin stops nobody: the report says what was wrong.

        With ``lazy``, a plugin is imported when a hook is first called: any hook, or those that its entry point
        names, ``name = "module:plugin [first_hook, second_hook]"``. What goes wrong then is told to ``on_error``.
        """
        from ._entrypoints import load

        return load(self, group, name, lazy)

    def load_lazy(self):
        """Import all plugins that still wait."""
        self._crow_load_lazy(None)

    def _crow_wait_for(self, pending):
        if not self._crow_lazy:
            self._crow_native_hookexec = self._inner_hookexec
            self._inner_hookexec = self._crow_hookexec_after_loading
        self._crow_lazy.append(pending)

    def _crow_load_lazy(self, hook_name):
        wanted = [each for each in self._crow_lazy if hook_name is None or each.wants(hook_name)]
        for pending in wanted:
            # Out of the list first: importing may call hooks.
            if pending in self._crow_lazy:
                self._crow_lazy.remove(pending)
                error = pending.register(self)
                if error is not None:
                    self.on_error(hook_name, pending.entry_point.name, error)
        if wanted and not self._crow_lazy and self._inner_hookexec == self._crow_hookexec_after_loading:
            self._inner_hookexec = self._crow_native_hookexec

    def _crow_hookexec_after_loading(self, hook_name, impls, kwargs, firstresult):
        hook = getattr(self.hook, hook_name)
        whole = impls == hook.get_hookimpls()
        self._crow_load_lazy(hook_name)
        if whole:
            impls = hook.get_hookimpls()
        return self._crow_native_hookexec(hook_name, impls, kwargs, firstresult)

    # Entry points

    def load_setuptools_entrypoints(self, group, name=None):
        """Import and register the plugins that installed distributions offer in ``group``; gives how many there were."""
        import importlib.metadata

        count = 0
        for dist in list(importlib.metadata.distributions()):
            for entry_point in dist.entry_points:
                if (
                    entry_point.group != group
                    or (name is not None and entry_point.name != name)
                    or self.has_plugin(entry_point.name)
                    or self.is_blocked(entry_point.name)
                ):
                    continue
                plugin = entry_point.load()
                self.register(plugin, name=entry_point.name)
                self._plugin_distinfo.append((plugin, dist))
                count += 1
        return count

    def list_plugin_distinfo(self):
        """Pairs of plugin and distribution for plugins that came by entry points."""
        from ._compat import DistFacade

        return [(plugin, DistFacade(dist)) for plugin, dist in self._plugin_distinfo]

    def list_plugin_distributions(self):
        """The same, with the distributions as ``importlib.metadata`` has them."""
        return list(self._plugin_distinfo)

    # Looking on

    def add_hookcall_monitoring(self, before, after):
        """Have ``before`` and ``after`` called around every hook call; gives a function that ends it.

        ``before(hook_name, hook_impls, kwargs)``, ``after(outcome, hook_name, hook_impls, kwargs)``.
        """
        return self._crow_monitor(before, after, None)

    def _crow_monitor(self, before, after, tracer):
        old = self._inner_hookexec
        self._inner_hookexec = _native.Monitor(before, after, old, tracer)

        def undo():
            self._inner_hookexec = old

        return undo

    def enable_tracing(self):
        """Trace every hook call to ``pm.trace``; gives a function that ends it."""
        hooktrace = self.trace.root.get("hook")

        def before(hook_name, methods, kwargs):
            hooktrace.root.indent += 1
            hooktrace(hook_name, kwargs)

        def after(outcome, hook_name, methods, kwargs):
            if outcome.exception is None:
                hooktrace("finish", hook_name, "-->", outcome.get_result())
            hooktrace.root.indent -= 1

        # With nobody to write to, the native loop only counts how deep it is.
        tracer = hooktrace.root if type(hooktrace.root) is TagTracer else None
        return self._crow_monitor(before, after, tracer)
