"""Writes docs/api.md, the public names with what their docstrings say.

python docs/make_api.py
"""

import importlib
import inspect
import pathlib

import tfdeblur

PAGE = pathlib.Path(__file__).with_name("api.md")
INTRODUCTION = """# The public names

Written by `python docs/make_api.py` from the docstrings; `help(tfdeblur.restore)` shows the same.
Whatever is not here may change without notice.
"""


def page():
    """The whole page, a str."""
    parts = [INTRODUCTION]
    for name in sorted(tfdeblur.__all__):
        thing = getattr(tfdeblur, name)
        if not inspect.ismodule(thing):
            parts.append(entry(f"tfdeblur.{name}", thing))
            continue
        module = importlib.import_module(f"tfdeblur.{name}")
        parts.append(f"## tfdeblur.{name}\n\n{block(module)}")
        parts += [
            entry(f"tfdeblur.{name}.{each}", getattr(module, each), "###")
            for each in module.__all__
        ]
    return "\n".join(parts)


def entry(name, thing, heading="##"):
    """A function's or class's signature and docstring, or what kind of value a name has."""
    if not callable(thing):
        return f"{heading} `{name}`\n\n{value(thing)}\n"
    return f"{heading} `{name}{signature(thing)}`\n\n{block(thing)}"


def signature(thing):
    try:
        return str(inspect.signature(thing))
    except ValueError:
        return "(...)"


def value(thing):
    if isinstance(thing, dict):
        return f"A dict with the keys {', '.join(f'`{key}`' for key in thing)}."
    return f"`{thing!r}`"


def block(thing):
    return f"```text\n{inspect.cleandoc(thing.__doc__ or '')}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
