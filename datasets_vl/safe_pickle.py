"""Reading foreign pickles and NPY files without executing what they ask for.

Feature files of the original code bases are pickles of dictionaries that hold numbers, strings and numpy arrays. A
pickle may name any function to be called, and any state to be put into an object. Here it finds only stand-ins that
rebuild simple arrays from bytes; numpy's own functions for this trust their arguments and are not reachable.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import tokenize
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np


class ForbiddenGlobalError(pickle.UnpicklingError):
    """A pickle asks for something other than numpy arrays, numbers, strings and their containers."""


class _PickledDtype:
    """Stands in for a numpy dtype; only booleans, numbers, strings and objects, no records."""

    __slots__ = ("dtype",)

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str) or not re.fullmatch(r"[biufSUO]\d{0,4}", text):
            raise ForbiddenGlobalError(f"the pickle holds an array of type {text!r}, which is not read")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        byte_order, subtype, names, fields = state[1:5]
        if byte_order not in ("<", ">", "=", "|") or (subtype, names, fields) != (None, None, None):
            raise ForbiddenGlobalError("the pickle holds an array of records, which is not read")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _PickledArray:
    """Stands in for a numpy array until the whole pickle is read."""

    __slots__ = ("array",)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        if dtype.dtype.hasobject:
            array = np.empty(len(data), dtype=object)
            for index, value in enumerate(data):  # at once, numpy would take lists apart
                array[index] = value
            self.array = array.reshape(shape)
        else:
            self.array = _array_of(data, dtype, shape, "F" if is_fortran else "C")


def _array_of(data: Any, dtype: _PickledDtype, shape: Any, order: str) -> np.ndarray:
    if dtype.dtype.hasobject:
        raise ForbiddenGlobalError("the pickle holds objects given as bytes")
    if isinstance(data, str):  # a byte string of Python 2
        data = data.encode("latin1")
    return np.frombuffer(data, dtype=dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


class _Callable:
    """One of the few functions a pickle may call. It has no attribute that a pickle could change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: Any) -> None:
        raise ForbiddenGlobalError("the pickle changes what it calls")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes at protocols 0 to 2."""
    if encoding != "latin1":
        raise ForbiddenGlobalError(f"the pickle encodes text as {encoding!r}, bytes are always encoded as latin1")
    return text.encode("latin1")


def _allowed_globals() -> dict[tuple[str, str], Any]:
    empty_bytes = _Callable(lambda: b"")
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): "numpy.ndarray",  # only an argument, never called
        ("numpy", "dtype"): _Callable(lambda text, *flags: _PickledDtype(text)),
        ("_codecs", "encode"): _Callable(_encode),
        ("builtins", "bytes"): empty_bytes,
        ("__builtin__", "bytes"): empty_bytes,
        # What csv.DictReader gave in Python 3.6 and 3.7; a plain dictionary keeps its order too.
        ("collections", "OrderedDict"): _Callable(dict),
    }
    for core in ("numpy.core", "numpy._core"):  # its name before and since numpy 2
        allowed[core + ".multiarray", "_reconstruct"] = _Callable(lambda *arguments: _PickledArray())
        allowed[core + ".multiarray", "scalar"] = _Callable(lambda dtype, data: _array_of(data, dtype, 1, "C")[0])
        allowed[core + ".numeric", "_frombuffer"] = _Callable(
            lambda data, dtype, shape, order: _array_of(data, dtype, shape, order)
        )
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


def _with_arrays(value: Any, done: dict[int, Any]) -> Any:
    """Put the arrays where their stand-ins are; `done` keeps shared values shared."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, (_Callable, _PickledDtype)):
        raise pickle.UnpicklingError("the pickle is broken: it leaves a function or a type where data should stand")
    result = value.array if isinstance(value, _PickledArray) else value
    if isinstance(result, tuple):
        result = tuple(_with_arrays(each, done) for each in result)
    done[id(value)] = result
    if isinstance(result, (dict, set, frozenset)):
        for key in result:
            _with_arrays(key, done)
    if isinstance(result, dict):
        result.update([(key, _with_arrays(each, done)) for key, each in result.items()])
    elif isinstance(result, list):
        result[:] = [_with_arrays(each, done) for each in result]
    elif isinstance(result, np.ndarray) and result.dtype.hasobject:
        for index in np.ndindex(result.shape):
            result[index] = _with_arrays(result[index], done)
    return result


def _check_sizes(data: bytes) -> None:
    """Refuse sizes that the data do not hold: the unpickler would take the memory for them first."""
    for position, (name, argument) in enumerate(_opcodes(data)):
        if name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= position:
            raise pickle.UnpicklingError(f"the pickle is broken: it numbers value {position} as {argument}")


def _opcodes(data: bytes) -> Iterator[tuple[str, Any]]:
    """Operations with their arguments, as by `pickletools.genops`, which cannot read all byte strings of Python 2."""
    file = io.BytesIO(data)
    name = ""
    while name != "STOP":
        code = file.read(1).decode("latin1")
        if code not in pickletools.code2op:
            raise ValueError(f"{code!r} is no operation" if code else "it ends before its end mark")
        opcode = pickletools.code2op[code]
        name = opcode.name
        if name == "STRING":  # its reader in pickletools takes for granted that the text is ASCII
            file.readline()
            yield name, None
        else:
            yield name, opcode.arg.reader(file) if opcode.arg is not None else None


def load_pickle(data: bytes) -> Any:
    """Read one pickle of any protocol, of Python 2 as well (its byte strings become text, as latin1).

    Args:
        data: The pickle; what follows it is ignored.

    Returns:
        Numbers, strings, bytes, numpy arrays (read-only), and tuples, lists and dictionaries of these.

    Raises:
        ForbiddenGlobalError: The pickle asks for something else. Nothing of it was executed.
        pickle.UnpicklingError: The pickle is broken.
    """
    try:
        _check_sizes(data)
        return _with_arrays(_RestrictedUnpickler(io.BytesIO(data), encoding="latin1").load(), {})
    except pickle.UnpicklingError:
        raise
    # A broken pickle may raise nearly anything, as the pickle module documents: all of these were met in fuzzing.
    except (
        *(ArithmeticError, AttributeError, EOFError, LookupError, MemoryError),
        *(RuntimeError, SystemError, TypeError, ValueError),
    ) as error:
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
    try:
        shape, fortran_order, dtype = readers[version](file)
    except (LookupError, MemoryError, RecursionError, SyntaxError, TypeError, tokenize.TokenError) as error:
        raise ValueError(f"the NPY header is broken: {error}") from error
    data = file.read()
    if dtype.hasobject:
        loaded = load_pickle(data)
        is_single = isinstance(loaded, np.ndarray) and loaded.shape == ()
        return loaded.item() if is_single else loaded
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"the array has {len(data)} bytes, expected {expected}: cut off?")
    return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran_order else "C")
