"""`python -m tfdeblur` is the command `tfdeblur`."""

from tfdeblur import cli

cli.main()
