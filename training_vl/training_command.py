"""What all scripts that train have in common on the command line. No torch: mistakes are answered at once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from transformers.utils.logging import disable_progress_bar

from datasets_vl.command_line import tells_mistakes


def training_command(run: Callable[[Sequence[str]], object]) -> None:
    """Train as the command line of this program says; what the user caused is told in one line.

    Args:
        run: Reads the words of the command line and trains. It imports what needs torch once they are read.

    Raises:
        SystemExit: See `tells_mistakes`.
    """
    disable_progress_bar()  # saving a checkpoint would draw one into that of the training
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    with tells_mistakes(
        ImportError, OSError, RuntimeError, ValueError, FloatingPointError,
        interrupted="interrupted; start again with --resume_from_checkpoint latest to go on after the last checkpoint",
    ):  # fmt: skip
        run(sys.argv[1:])
