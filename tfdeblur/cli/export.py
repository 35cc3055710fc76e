"""Trained networks for programs without tfdeblur or Keras: as SavedModel, LiteRT or ONNX.

tfdeblur export runs/quickstart/model.keras served/1
tfdeblur export dmphn dmphn.onnx --weights=gopro --format=onnx

MODEL is a .keras file or a network's name (then with --weights), OUT a folder for saved_model, a
.tflite file for litert, an .onnx file for onnx. What is written has been run beside the network.
"""

import sys

from absl import flags

from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError

FLAGS = flags.FLAGS


def _define_flags():
    shared.define_weights("the network that MODEL names")
    flags.DEFINE_string("format", "saved_model", "saved_model, litert or onnx.")
    flags.DEFINE_bool("overwrite", False, "Replace an export that exists already.")


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], _define_flags, _run)


def _run(argv):
    if len(argv) != 3:
        raise InputError("give MODEL and OUT: `tfdeblur export model.keras served/1`.")
    # After the flags, so that a wrong one is answered at once.
    with shared.quiet_imports():
        from tfdeblur import export, weights
    _, model, target = argv
    export.check(target, FLAGS.format, FLAGS.overwrite)
    net, description = weights.open_network(model, FLAGS.weights)
    difference = export.export(net, target, FLAGS.format, FLAGS.overwrite)
    print(f"Wrote {target}: {description}, which it equals within {difference:.1g}.")
    print("How to serve it: docs/serving.md")
