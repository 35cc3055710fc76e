"""The commands: `restore` (tfdeblur PHOTO...) and `demo` (tfdeblur demo)."""
