"""Reading foreign pickles and NPY files without executing what they ask for.

Feature files of the original code bases are pickles of dictionaries that hold numbers, strings and numpy arrays. A
pickle can name any function to be called; here only the few that rebuild numpy arrays, dtypes and scalars are found.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, BinaryIO

import numpy as np


class ForbiddenGlobalError(pickle.UnpicklingError):
    """A pickle asks for something other than numpy arrays, numbers, strings and their containers."""


class _EncodedText:
    """Stands in for `_codecs.encode`, with which Python 3 writes bytes at protocols 0 to 2."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise ForbiddenGlobalError(f"the pickle encodes text as {encoding!r}, bytes are always encoded as latin1")
        return text.encode("latin1")


class _EmptyBytes:
    """Stands in for `bytes`, which protocols 0 to 2 call without arguments for an empty value."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


def _allowed_globals() -> dict[tuple[str, str], Any]:
    # The functions are taken from numpy's own answers: their module moved between numpy 1 and 2, in pickles and here.
    sample = np.zeros(1, dtype=np.float32)
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _EncodedText(),
        ("builtins", "bytes"): _EmptyBytes(),
        ("__builtin__", "bytes"): _EmptyBytes(),
        # What csv.DictReader gave in Python 3.6 and 3.7; a plain dictionary keeps its order too.
        ("collections", "OrderedDict"): dict,
    }
    for core in ("numpy.core", "numpy._core"):
        allowed[core + ".multiarray", "_reconstruct"] = sample.__reduce__()[0]
        allowed[core + ".multiarray", "scalar"] = sample[0].__reduce__()[0]
        allowed[core + ".numeric", "_frombuffer"] = sample.__reduce_ex__(5)[0]
    return allowed


_ALLOWED = _allowed_globals()


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise ForbiddenGlobalError(
                f"the pickle asks for {module_name}.{global_name}; only numpy arrays, numbers, strings and containers"
                " of these are read, nothing else was executed"
            ) from None


def load_pickle(data: bytes) -> Any:
    """Read one pickle of any protocol, of Python 2 as well (its byte strings become text, as latin1).

    Args:
        data: The pickle; what follows it is ignored.

    Returns:
        Numbers, strings, bytes, numpy arrays, and tuples, lists, sets and dictionaries of these.

    Raises:
        ForbiddenGlobalError: The pickle asks for something else. Nothing of it was executed.
        pickle.UnpicklingError: The pickle is broken.
    """
    try:
        return _RestrictedUnpickler(io.BytesIO(data), encoding="latin1").load()
    except pickle.UnpicklingError:
        raise
    except (ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError, ValueError) as error:
        # The pickle module documents that a broken pickle may raise almost anything; these were all met in fuzzing.
        raise pickle.UnpicklingError(f"the pickle is broken: {type(error).__name__}: {error}") from error


def load_npy(file: BinaryIO) -> Any:
    """Read an NPY file, or a member of an NPZ file; object arrays go through `load_pickle`.

    Args:
        file: Open for reading, from its start.

    Returns:
        The array, read-only; the object itself when the file holds one pickled object (`np.save(name, a_dict)`).

    Raises:
        ForbiddenGlobalError: The file holds a pickle that asks for more than arrays, numbers and strings.
        pickle.UnpicklingError: The file holds a broken pickle.
        ValueError: The file is not NPY, or is shorter than its header says.
    """
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"NPY format version {version} is not known")
    shape, fortran_order, dtype = readers[version](file)
    data = file.read()
    if dtype.hasobject:
        loaded = load_pickle(data)
        is_single = isinstance(loaded, np.ndarray) and loaded.shape == ()
        return loaded.item() if is_single else loaded
    count = int(np.prod(shape, dtype=np.int64))
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"the array data hold {len(data)} bytes, expected {count * dtype.itemsize}: cut off?")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")
