"""Serves a web page on which photographs are restored.

tfdeblur demo [--model=runs/quickstart/model.keras]

This computer serves the page to itself, and the page fetches nothing from elsewhere. It offers the
networks under runs/, too, and the published ones, which this computer fetches when one is chosen.
Ctrl-C ends it.
"""

import sys

from absl import flags

from tfdeblur.cli import flags as shared
from tfdeblur.errors import InputError


def start():
    """Runs the command line in `sys.argv`, and exits."""
    shared.start(sys.modules[__name__], _define_flags, _run, patient=True)


def _run(argv):
    if argv[1:]:
        raise InputError(f"tfdeblur demo restores no {argv[1]}: drop photos on its page.")
    # After the flags, so that a wrong one is answered at once.
    with shared.quiet_imports():
        from tfdeblur.cli import demo_page
    demo_page.run()


def _define_flags():
    shared.define_network()
    flags.DEFINE_string("host", "127.0.0.1", "Who may visit: 0.0.0.0 is everyone on the network.")
    flags.DEFINE_integer("port", 7860, "The page's port.", lower_bound=1, upper_bound=65535)
    flags.DEFINE_float("max_megapixels", 50, "Refuse larger photos.", lower_bound=0)
    shared.require_finite("max_megapixels")
    shared.define_precision()
