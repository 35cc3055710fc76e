"""How commands and the package start: at once where nothing is computed, and without a word."""

import importlib.util
import pathlib
import subprocess
import sys
import types

import golden
import pytest

import tfdeblur
from tfdeblur import cli

MODEL = golden.FOLDER / "before_subpackages" / "model.keras"
HEAVY = ("keras", "tensorflow", "jax", "scipy", "skimage")
HELP = {
    "train": "Trains a recipe",
    "evaluate": "Measures networks",
    "export": "--format",
    "weights": "Published weights",
    "demo": "Serves a web page",
}
STARTED = """
import sys
from tfdeblur import cli
try:
    cli.main()
finally:
    print("heavy:", *({} & set(sys.modules)))
"""


def started(*words, cwd):
    script = STARTED.format(set(HEAVY))
    return subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=cwd
    )


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--help",),
        ("--no_such_flag",),
        ("no_such_photo.jpg",),
        *((command, "--help") for command in cli.COMMANDS),
        *((command, "--no_such_flag") for command in cli.COMMANDS),
        ("export",),
        ("weights", "lst"),
        ("evaluate", "photo.jpg"),
        ("demo", "photo.jpg"),
    ],
)
def test_answers_without_importing_what_computes(words, tmp_path):
    done = started(*words, cwd=tmp_path)
    assert (done.returncode == 0) == ("--help" in words)
    assert done.stdout.splitlines()[-1] == "heavy:"
    assert len(done.stderr.splitlines()) <= ("--help" not in words) * 2


def test_a_mistyped_command_is_named_where_its_flags_would_be_unknown(tmp_path):
    done = started("evalute", "--dataset=kohler", cwd=tmp_path)
    assert done.returncode == 1 and done.stdout.split() == ["heavy:"]
    assert done.stderr == (
        "error: evalute does not exist, and is no command. Did you mean evaluate?\n"
    )


@pytest.mark.parametrize(
    ("backend", "message"),
    [("nonsense", "name tensorflow, jax, torch"), ("torch", "pip install torch")],
)
def test_a_backend_that_is_not_there_is_told_in_a_line(backend, message, tmp_path, monkeypatch):
    if backend == "torch" and importlib.util.find_spec("torch"):
        pytest.skip("it is there")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    done = started("no_such_photo.jpg", cwd=tmp_path)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert f"error: KERAS_BACKEND={backend}" in done.stderr and message in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", HELP)
def test_every_command_explains_itself(command, run_command):
    tfdeblur_command = types.SimpleNamespace(__name__="tfdeblur", start=cli.main)
    done = run_command(tfdeblur_command, command, "--help")
    assert HELP[command] in done.stdout
    assert not done.stderr and not done.returncode


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import tfdeblur, keras",
        "import keras, tfdeblur",
        pytest.param("import tfdeblur.layers, keras", marks=pytest.mark.long),
        "from tfdeblur.pyramid import gaussian_pyramid; import keras",
        pytest.param("from tfdeblur import precision; import keras", marks=pytest.mark.long),
        pytest.param("from tfdeblur import restore; import keras", marks=pytest.mark.long),
    ],
)
def test_keras_knows_our_networks_in_either_order(imports, tmp_path):
    # The classes that users import are those that the networks are made of.
    script = f"""{imports}
print(keras.saving.load_model({str(MODEL)!r}).name)
from tfdeblur import layers, models, precision, pyramid
from tfdeblur.models import nafnet
print(layers.PixelNormalization is nafnet.PixelNormalization)
for module in layers, precision, pyramid:
    print(type(module.__spec__.loader).__name__)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["deepdeblur", "True", *["SourceFileLoader"] * 3], done.stderr


def test_importing_the_package_alone_imports_no_keras():
    script = f"import sys, tfdeblur; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "\n"


def test_a_clone_in_the_working_folder_is_the_package(tmp_path):
    (tmp_path / "tfdeblur").symlink_to(golden.FOLDER.parents[1])
    code = "import tfdeblur, tfdeblur.files; print(tfdeblur.__version__, tfdeblur.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.split() == [tfdeblur.__version__, "tfdeblur"]


def test_the_package_shows_its_public_names_alone():
    import tfdeblur

    assert {name for name in dir(tfdeblur) if not name.startswith("_")} == set(tfdeblur.__all__)
    for name in tfdeblur.__all__:
        assert getattr(tfdeblur, name) is not None
    with pytest.raises(AttributeError, match="no_such"):
        tfdeblur.no_such  # noqa: B018


def test_the_citation_is_of_this_version():
    citation = (pathlib.Path(__file__).parents[1] / "CITATION.cff").read_text()
    assert f"\nversion: {tfdeblur.__version__}\n" in citation
