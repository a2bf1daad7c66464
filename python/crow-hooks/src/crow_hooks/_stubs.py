"""Types of a project's hooks, from its hook specifications, so that a type checker knows every call."""

from __future__ import annotations

import importlib
import inspect
import sys


def generate(reference, project):
    """The text of a stub for the hooks that ``reference`` (``package.module:Class`` or a module) specifies."""
    namespace, source = _found(reference)
    hooks, async_hooks, imports = [], [], set()
    for name in dir(namespace):
        function = inspect.getattr_static(namespace, name, None)
        function = getattr(function, "__func__", function)
        opts = getattr(function, project + "_spec", None)
        if not isinstance(opts, dict):
            continue
        parameters, result = _signature(function, imports)
        awaited = _awaited(result)
        if opts.get("firstresult"):
            given, awaited = f"{result} | None", f"{awaited} | None"
        else:
            given, awaited = f"list[{result}]", f"list[{awaited}]"
        summary = (inspect.getdoc(function) or "").partition("\n")[0].replace('"""', "'''")
        body = f'\n        """{summary}"""\n        ...' if summary else " ..."
        if opts.get("historic"):
            hooks.append(f"    {name}: HookCaller")
        else:
            hooks.append(f"    def {name}(self{parameters}) -> {given}:{body}")
            async_hooks.append(f"    async def {name}(self{parameters}) -> {awaited}:{body}")
    if not hooks:
        raise SystemExit(f"{reference} has no hook specifications of the project {project!r}")
    lines = [
        '"""Types of hooks. Made by `crow-hooks stubs`; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Protocol",
        "",
        "from crow_hooks import HookCaller as HookCaller",
        *_imports(imports, source),
        "",
        "",
        "class Hooks(Protocol):",
        '    """`pm.hook`, for `PluginManager[Hooks, AsyncHooks]`."""',
        "",
        "\n\n".join(hooks),
        "",
        "",
        "class AsyncHooks(Protocol):",
        '    """`pm.ahook`."""',
        "",
        "\n\n".join(async_hooks) if async_hooks else "    ...",
        "",
    ]
    return "\n".join(lines)


def _found(reference):
    module_name, _, attribute = reference.partition(":")
    module = importlib.import_module(module_name)
    return (getattr(module, attribute) if attribute else module), module


def _signature(function, names):
    """The parameters, keyword-only as calls have them, and the result, as they are written."""
    parameters = []
    signature = inspect.signature(function)
    for at, (name, parameter) in enumerate(signature.parameters.items()):
        if at == 0 and name in ("self", "cls"):
            continue
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = "" if parameter.default is parameter.empty else " = ..."
        parameters.append(f"{name}: {_written(parameter.annotation, names)}{default}")
    result = _written(signature.return_annotation, names)
    return (", *, " + ", ".join(parameters) if parameters else ""), result


def _written(annotation, names):
    if annotation is inspect.Signature.empty:
        return "object"
    if annotation is None or annotation is type(None):
        return "None"
    text = annotation if isinstance(annotation, str) else _described(annotation)
    names.update(part for part in _words(text) if part.isidentifier())
    return text


def _described(annotation):
    if isinstance(annotation, type) and not hasattr(annotation, "__origin__"):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _words(text):
    word = ""
    for character in text + " ":
        if character.isalnum() or character == "_":
            word += character
        elif word:
            yield word
            word = ""


def _awaited(result):
    """What `await` makes of the result of an implementation."""
    for head in ("Awaitable[", "Coroutine["):
        if head in result:
            inner = result[result.index(head) + len(head) : result.rindex("]")]
            return inner.rsplit(",", 1)[-1].strip()
    return result


def _imports(names, module):
    """Where the names in annotations come from: the module of the specifications has them all."""
    import builtins
    import typing

    lines, local = [], []
    for name in sorted(names):
        if hasattr(module, name) and not (hasattr(builtins, name) and getattr(builtins, name) is getattr(module, name)):
            value = getattr(module, name)
            if getattr(value, "__module__", None) == "typing" or hasattr(typing, name) and getattr(typing, name) is value:
                lines.append(f"from typing import {name} as {name}")
            elif inspect.ismodule(value):
                lines.append(f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}"))
            elif inspect.isclass(value) and getattr(sys.modules.get(value.__module__), name, None) is value:
                lines.append(f"from {value.__module__} import {name} as {name}")
            else:
                local.append(name)
        elif not hasattr(builtins, name) and hasattr(typing, name):
            lines.append(f"from typing import {name} as {name}")
    lines += [f"from {module.__name__} import {name} as {name}" for name in local]
    return lines
