"""Exceptions and warnings."""


class HookCallError(Exception):
    """A hook was called without an argument that an implementation needs."""


class PluginValidationError(Exception):
    """A plugin does not fit the hooks it implements."""

    def __init__(self, plugin: object, message: str) -> None:
        super().__init__(message)
        #: The plugin.
        self.plugin = plugin


class PluggyWarning(UserWarning):
    """The base of all warnings of hooks themselves."""

    __module__ = "pluggy"


class PluggyTeardownRaisedWarning(PluggyWarning):
    """An old-style wrapper raised an exception after its ``yield``.

    Wrappers outside it may not be resumed as they expect. Correct the plugin; if the exception is meant, use a new-style
    wrapper, or ``Result.force_exception``.
    """

    __module__ = "pluggy"
