"""Nothing of tfdeblur, but what Python finds of a clone in the folder that holds it.

Without this file, `import tfdeblur` beside a clone of that name, where a notebook often lies, would
give an empty namespace package: Python looks there before it asks where tfdeblur is installed.
"""

import importlib.util
import pathlib
import sys

if __name__ == "tfdeblur":
    _spec = importlib.util.spec_from_file_location(
        __name__, pathlib.Path(__file__).parent / "tfdeblur" / "__init__.py"
    )
    sys.modules[__name__] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
