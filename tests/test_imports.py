import subprocess
import sys

import pytest

HEAVY = (
    "PIL",
    "apache_beam",
    "cv2",
    "gradio",
    "imageio",
    "matplotlib",
    "onnx",
    "openvino",
    "scipy",
    "skimage",
    "tensorflow_datasets",
    "torch",
)


@pytest.mark.slow
def test_importing_brings_keras_and_little_else():
    # Keras and TensorFlow import some of these by themselves where they are installed.
    script = (
        "import sys, keras; before = set(sys.modules); import tfdeblur; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert not set(done.stdout.split()) & set(HEAVY)
