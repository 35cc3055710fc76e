"""`python -m tfdeblur.weights` is the command `tfdeblur weights`."""

from tfdeblur.cli import weights

if __name__ == "__main__":
    weights.start()
