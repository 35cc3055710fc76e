"""Sends a photograph to a server and saves what comes back, with the standard library alone.

python examples/client.py http://localhost:8000/restore photo.jpg restored.png
python examples/client.py http://localhost:8501/v1/models/tfdeblur:predict photo.jpg restored.png

The first is examples/server.py, the second TensorFlow Serving.
"""

import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request

TIMEOUT = 600  # seconds


def restore(url, data):
    """Asks examples/server.py.

    Args:
        url: ends in /restore.
        data: the bytes of a PNG or JPEG file.

    Returns:
        The bytes of a PNG file.

    Raises:
        urllib.error.HTTPError: refused; its body says why.
        urllib.error.URLError: no server there.
    """
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=TIMEOUT) as response:
        return response.read()


def predict(url, data):
    """Asks TensorFlow Serving, at a `url` that ends in :predict; otherwise as `restore`."""
    question = {
        "signature_name": "serving_encoded",
        "instances": [{"b64": base64.b64encode(data).decode()}],
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        (prediction,) = json.load(response)["predictions"]
    return base64.b64decode(prediction["b64"])


def main(url, photo, restored):
    """Restores the file `photo` into the file `restored`; a failure ends with a line and 1."""
    ask = predict if url.endswith(":predict") else restore
    try:
        data = ask(url, pathlib.Path(photo).read_bytes())
    except urllib.error.HTTPError as error:
        sys.exit(f"error {error.code}: {error.read().decode(errors='replace').strip()}")
    except OSError as error:
        sys.exit(f"error: {error}")
    pathlib.Path(restored).write_bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
