"""What the command lines of all scripts have in common. No torch: `--help` and a wrong option answer at once."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended: 128 and the number of the signal, as shells have it."""


class CommandLine(argparse.ArgumentParser):
    """A parser that takes `--num-proc` and `--num_proc` for the same option, and says what a misspelt one may mean.

    Options cannot be abbreviated.

    Args:
        description: Text above the list of options, shown as it is.
        **options: Of `argparse.ArgumentParser`.
    """

    def __init__(self, description: str | None = None, **options: Any) -> None:
        layout = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(description=description, **{**layout, **options})

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Read a command line.

        Args:
            args: Its words, those of this program when None.
            namespace: Where the values go.

        Returns:
            The values, and words that belong nowhere.
        """
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        return super().parse_known_args([*map(self._known, words[:end]), *words[end:]], namespace)

    def _known(self, word: str) -> str:
        """A word in the spelling that it was declared with."""
        name, equals, value = word.partition("=")
        if not name.startswith("--"):
            return word
        known = self._option_string_actions
        for spelling in (name, f"--{name[2:].replace('_', '-')}", f"--{name[2:].replace('-', '_')}"):
            if spelling in known:
                return spelling + equals + value
        if self._subparsers is None:  # with commands, the command knows its options
            self.error(f"there is no option {name}{did_you_mean(name, known)}")
        return word


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that complains of a `word` which is none of those `known`; empty when none is close."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


@contextmanager
def tells_mistakes(*errors: type[Exception], interrupted: str) -> Iterator[None]:
    """End the program with one line on the standard error where the user's mistakes or Ctrl-C end it.

    Args:
        *errors: What mistakes raise. Any other error is one of the program and keeps its traceback.
        interrupted: What to say after Ctrl-C.

    Raises:
        SystemExit: With code 1 after a mistake, `INTERRUPTED` after Ctrl-C.
    """
    try:
        yield
    except errors as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        sys.exit(INTERRUPTED)
