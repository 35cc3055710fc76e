"""tfdeblur restores photographs blurred by motion, with coarse-to-fine networks in Keras 3.

net, _ = tfdeblur.weights.open_network("runs/quickstart/model.keras")
sharp = tfdeblur.restore(net, blurry)  # uint8 [H, W, 3] -> uint8 [H, W, 3]
"""

import importlib
import importlib.util
import os
import sys

# TensorFlow's notes to its developers would stand between what a command prints; what goes wrong
# still raises.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# After Beam has used gRPC, a fork for FFmpeg would now and then begin with a line of gRPC's own on
# stderr, which passes for FFmpeg's, or die of it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")

__all__ = [
    "blur",
    "classical",
    "export",
    "layers",
    "losses",
    "metrics",
    "models",
    "precision",
    "pyramid",
    "recipes",
    "restore",
    "weights",
]
__version__ = "0.1.0"


def __getattr__(name):
    # Keras and its backend take seconds to import: only for what needs them.
    if name == "restore":
        return importlib.import_module("tfdeblur.restoration").restore
    if name in __all__:
        return importlib.import_module(f"tfdeblur.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]


class _Registering:
    """Has our networks imported as soon as Keras is.

    So `keras.saving.load_model` knows our classes in whatever order tfdeblur and Keras came. The
    modules that the networks themselves are made of must come after them: halfway through their own
    import, the networks would find them empty.
    """

    BASES = ("tfdeblur.layers", "tfdeblur.precision", "tfdeblur.pyramid")

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in ("keras", *cls.BASES):
            return None
        sys.meta_path.remove(cls)
        if name in cls.BASES:
            importlib.import_module("tfdeblur.models")
            # Python takes this very object for a module that is there already: its own loader
            # would execute it a second time, with classes that are not the networks'.
            spec = sys.modules[name].__spec__
            spec.loader = _Loaded(spec.loader)
            return spec
        spec = importlib.util.find_spec(name)
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                importlib.import_module("tfdeblur.models")

            spec.loader.exec_module = execute_and_register
        return spec


class _Loaded:
    """The loader of a module that has been imported meanwhile, with the loader that did it."""

    def __init__(self, loader):
        self.loader = loader

    @staticmethod
    def create_module(spec):
        return sys.modules[spec.name]

    def exec_module(self, module):
        module.__spec__.loader = self.loader


if "keras" in sys.modules:
    importlib.import_module("tfdeblur.models")
else:
    sys.meta_path.insert(0, _Registering)
