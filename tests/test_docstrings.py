"""Examples in docstrings are true, and docs/api.md says what the docstrings say."""

import doctest
import importlib.util
import inspect
import pathlib
import re

import pytest

import tfdeblur
from tfdeblur import layers, losses
from tfdeblur.data import augment

DOCS = pathlib.Path(__file__).parents[1] / "docs"
WITH_EXAMPLES = ("blur", "layers", "losses", "metrics", "pyramid")


@pytest.mark.parametrize("module", [augment, *(getattr(tfdeblur, x) for x in WITH_EXAMPLES)])
def test_examples(module):
    done = doctest.testmod(module)
    assert done.attempted and not done.failed


def test_the_page_of_public_names_is_that_of_the_docstrings():
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    written = (DOCS / "api.md").read_text(encoding="utf-8")
    assert written == make_api.page(), "run: python docs/make_api.py"


@pytest.mark.slow
def test_the_guide_to_a_training_loop_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (DOCS / "training_loop.md").read_text(encoding="utf-8")
    names = {}
    for code in re.findall(r"```python\n(.*?)```", guide, re.DOTALL):
        exec(code, names)
    assert names["restored"].shape == (64, 64, 3) and names["restored"].dtype == "uint8"


def test_public_modules_show_their_public_names_alone():
    for name in tfdeblur.__all__:
        module = getattr(tfdeblur, name)
        if name != "restore":
            assert dir(module) == sorted(module.__all__)
            assert all(hasattr(module, each) for each in module.__all__)
            assert all(getattr(module, each).__doc__ for each in module.__all__)


def documented():
    """The blocks, losses and augmentations that take arguments of their own."""
    blocks, terms = ([getattr(m, name) for name in m.__all__] for m in (layers, losses))
    for named in (*blocks, *terms, *augment.AUGMENTATIONS.values()):
        takes = inspect.isfunction(named) or (inspect.isclass(named) and "__init__" in vars(named))
        if takes:
            yield named, inspect.signature(named)


@pytest.mark.parametrize(
    ("named", "signature"), documented(), ids=lambda x: getattr(x, "__name__", "")
)
def test_every_argument_is_explained(named, signature):
    list_of_arguments = named.__doc__.partition("Args:")[2]
    explained = re.findall(r"^ {4,8}([a-z_0-9, ]+): ", list_of_arguments, re.MULTILINE)
    assert signature.parameters.keys() - {"kwargs"} <= set(", ".join(explained).split(", "))
