"""The marks that say what is a hook and what implements one. They are pluggy's: an attribute on the function.

Their types are in the stub beside: this module is imported by everything, and `typing` takes longer than all of it.
"""

#: The project whose hooks these are: the attributes are called `crow-acp_impl` and `crow-acp_spec`.
PROJECT = "crow-acp"


def _names(names):
    return [names] if isinstance(names, str) else list(names)


def hookimpl(
    function=None,
    *,
    tryfirst=False,
    trylast=False,
    wrapper=False,
    hookwrapper=False,
    optionalhook=False,
    specname=None,
    before=(),
    after=(),
    budget=None,
):
    """Marks a function as the implementation of the hook of its name.

    `tryfirst` and `trylast` say where it stands, `before` and `after` name plugins, `wrapper` says that it is a generator
    around the others, `specname` names the hook if the function is called something else, `budget` is how many seconds
    it may take.
    """

    def mark(function):
        options = {
            "wrapper": wrapper,
            "hookwrapper": hookwrapper,
            "optionalhook": optionalhook,
            "tryfirst": tryfirst,
            "trylast": trylast,
            "specname": specname,
            "before": _names(before),
            "after": _names(after),
            "budget": budget,
        }
        setattr(function, PROJECT + "_impl", options)
        return function

    return mark if function is None else mark(function)


def hookspec(function=None, *, firstresult=False, isolate=False):
    """Marks a function as a hook of a plugin's own; `agent._pm.add_hookspecs` adds what is marked.

    `firstresult` stops at the first result that is not `None`; `isolate` reports what fails and goes on.
    """

    def mark(function):
        setattr(function, PROJECT + "_spec", {"firstresult": firstresult, "isolate": isolate})
        return function

    return mark if function is None else mark(function)
