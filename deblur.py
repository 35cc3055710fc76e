"""Restores photographs: `python deblur.py photo.jpg holiday/ --output=restored/`.

The same as the command `tfdeblur`, which `pip install` provides; see tfdeblur/cli/restore.py.
"""

from tfdeblur import cli

if __name__ == "__main__":
    cli.main()
