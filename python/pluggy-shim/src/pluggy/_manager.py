"""The plugin manager."""

from crow_hooks._compat import DistFacade
from crow_hooks._errors import PluginValidationError
from crow_hooks._manager import PluginManager
from crow_hooks._signature import formatdef as _formatdef


__all__ = ["DistFacade", "PluginManager", "PluginValidationError", "_formatdef"]
