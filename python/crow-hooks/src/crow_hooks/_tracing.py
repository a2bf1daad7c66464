"""Tracing: messages with tags, to a writer or to processors."""

from . import _native


class TagTracer(_native.TracerBase):
    """Where all messages of a manager come together."""

    def __init__(self):
        self._tags2proc = {}
        self._writer = None
        self.indent = 0

    def get(self, name):
        """A tracer whose messages have this tag."""
        return TagTracerSub(self, (name,))

    def _format_message(self, tags, args):
        from ._tracefmt import format_message

        return format_message(self.indent, tags, args)

    def _processmessage(self, tags, args):
        if self._writer is not None and args:
            self._writer(self._format_message(tags, args))
        if processor := self._tags2proc.get(tags):
            processor(tags, args)

    def setwriter(self, writer):
        """Give every message to ``writer``, as text; ``None`` for nobody."""
        if writer is not None:
            # Now: an import from inside a message could be traced itself, without end.
            from . import _tracefmt  # noqa: F401
        self._writer = writer

    def setprocessor(self, tags, processor):
        """Give messages with exactly these tags to ``processor``."""
        if isinstance(tags, str):
            tags = tuple(tags.split(":"))
        else:
            assert isinstance(tags, tuple)
        self._tags2proc[tags] = processor


class TagTracerSub:
    """A tracer with tags."""

    def __init__(self, root, tags):
        self.root = root
        self.tags = tags

    def __call__(self, *args):
        self.root._processmessage(self.tags, args)

    def get(self, name):
        """A tracer with one tag more."""
        return self.__class__(self.root, self.tags + (name,))
