"""Trains a recipe: `python train.py` alone trains the quickstart network on made-up scenes.

The same as the command `tfdeblur train`, which `pip install` provides; see tfdeblur/cli/train.py.
"""

from tfdeblur.cli import train

if __name__ == "__main__":
    train.start()
