"""Ctrl-C for programs that tests start."""

from __future__ import annotations

import signal


def listen_to_ctrl_c() -> None:
    """Undo that Ctrl-C is ignored; for `preexec_fn` of `subprocess.Popen`.

    A shell lets programs in its background ignore it, a test suite for one, and what these start inherits that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
