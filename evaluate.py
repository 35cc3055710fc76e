"""Measures networks on blurry/sharp pairs, by the papers' own protocols.

The same as the command `tfdeblur evaluate`, which `pip install` provides; see
tfdeblur/cli/evaluate.py.
"""

from tfdeblur.cli import evaluate

if __name__ == "__main__":
    evaluate.start()
