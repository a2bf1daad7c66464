"""Markers of specifications and implementations, and what a specification is."""

from . import _native


class HookspecMarker:
    """Marks functions as specifications of hooks, for ``PluginManager.add_hookspecs``."""

    __slots__ = ("project_name",)

    def __init__(self, project_name):
        self.project_name = project_name

    def __call__(
        self,
        function=None,
        firstresult=False,
        historic=False,
        warn_on_impl=None,
        warn_on_impl_args=None,
        *,
        isolate=False,
    ):
        def mark(function):
            if historic and firstresult:
                raise ValueError("cannot have a historic firstresult hook")
            opts = {
                "firstresult": firstresult,
                "historic": historic,
                "warn_on_impl": warn_on_impl,
                "warn_on_impl_args": warn_on_impl_args,
            }
            if isolate:
                opts["isolate"] = isolate
            setattr(function, self.project_name + "_spec", opts)
            return function

        return mark if function is None else mark(function)


class HookimplMarker:
    """Marks functions as implementations of hooks, for ``PluginManager.register``."""

    __slots__ = ("project_name",)

    def __init__(self, project_name):
        self.project_name = project_name

    def __call__(
        self,
        function=None,
        hookwrapper=False,
        optionalhook=False,
        tryfirst=False,
        trylast=False,
        specname=None,
        wrapper=False,
        *,
        before=None,
        after=None,
    ):
        def mark(function):
            opts = {
                "wrapper": wrapper,
                "hookwrapper": hookwrapper,
                "optionalhook": optionalhook,
                "tryfirst": tryfirst,
                "trylast": trylast,
                "specname": specname,
            }
            # Only when given: others compare this dict with pluggy's.
            if before:
                opts["before"] = before
            if after:
                opts["after"] = after
            setattr(function, self.project_name + "_impl", opts)
            return function

        return mark if function is None else mark(function)


def normalize_hookimpl_opts(opts):
    """Fill in the options that a manager's ``parse_hookimpl_opts`` left out."""
    for name in ("tryfirst", "trylast", "wrapper", "hookwrapper", "optionalhook"):
        opts.setdefault(name, False)
    opts.setdefault("specname", None)


class HookSpec:
    """The specification of a hook: its arguments and options."""

    __slots__ = (
        "argnames",
        "function",
        "kwargdefaults",
        "kwargnames",
        "name",
        "namespace",
        "opts",
        "warn_on_impl",
        "warn_on_impl_args",
    )

    def __init__(self, namespace, name, opts):
        self.namespace = namespace
        self.name = name
        self.function = function = getattr(namespace, name)
        legacy = isinstance(namespace, type) and not isinstance(_raw(namespace, name), staticmethod)
        self.argnames, self.kwargnames = _native.varnames(function, legacy_noself=legacy)
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        self.kwargdefaults = dict(zip(self.kwargnames, function.__defaults__ or ()))
        self.opts = opts
        self.warn_on_impl = opts.get("warn_on_impl")
        self.warn_on_impl_args = opts.get("warn_on_impl_args")


def _raw(cls, name):
    for each in type.__dict__["__mro__"].__get__(cls):
        if name in each.__dict__:
            return each.__dict__[name]
    return None


class HookRelay:
    """Holds the hooks of a manager: ``pm.hook.name`` is the caller of the hook ``name``."""

    __slots__ = ("__dict__",)
