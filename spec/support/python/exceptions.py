"""Prints as JSON what TaskFlow's exceptions and failures are: type names, texts with causes, what matches what."""
import builtins
import json

from oslo_utils import reflection
from taskflow import exceptions
from taskflow.types import failure

BUILTINS = """RuntimeError NotImplementedError RecursionError ValueError UnicodeError TypeError AttributeError
AssertionError NameError ImportError ModuleNotFoundError MemoryError LookupError KeyError IndexError ArithmeticError
ZeroDivisionError OverflowError OSError FileNotFoundError FileExistsError PermissionError TimeoutError ConnectionError
ConnectionRefusedError""".split()


def names(cls):
    return list(reflection.get_all_class_names(cls, up_to=Exception))


def trees():
    out = {name: names(getattr(builtins, name)) for name in BUILTINS}
    for name, cls in vars(exceptions).items():
        if isinstance(cls, type) and issubclass(cls, Exception) and name != "NotImplementedError":
            out[name] = names(cls)
    return out


def texts():
    inner = exceptions.NotFound("inner", cause=exceptions.StorageFailure("deepest"))
    return {
        "plain": str(exceptions.NotFound("x")),
        "one cause": str(exceptions.ExecutionFailure("outer", cause=inner)),
        "python cause": str(exceptions.JobFailure("job", cause=ValueError("bad"))),
        "python": str(ValueError("bad")),
    }


def wrapped():
    def fail(exception):
        return failure.Failure.from_exception(exception)

    inner = fail(exceptions.WrappedFailure([fail(OSError("b")), fail(KeyError("c"))]))
    whole = exceptions.WrappedFailure([fail(RuntimeError("a")), inner])
    return {
        "text": str(whole),
        "len": len(whole),
        "checks": [bool(whole.check(cls)) for cls in (RuntimeError, OSError, LookupError, ValueError)],
        "none": whole.check() is None,
        "nested text": str(inner),
    }


def matches():
    base = {
        "exception_str": "boom",
        "traceback_str": "tb",
        "exc_type_names": ["RuntimeError", "Exception"],
        "exc_args": ["boom"],
        "version": 1,
    }
    changes = {
        "same": {},
        "text": {"exception_str": "bang"},
        "traceback": {"traceback_str": "elsewhere"},
        "types": {"exc_type_names": ["Exception"]},
        "args": {"exc_args": []},
        "causes": {"causes": [dict(base)]},
    }
    whole = failure.Failure.from_dict(dict(base, causes=[]))
    out = {}
    for name, change in changes.items():
        other = dict(base, causes=[])
        other.update(change)
        out[name] = whole.matches(failure.Failure.from_dict(other))
    out["no failure"] = whole.matches("boom")
    return out


print(json.dumps({"trees": trees(), "texts": texts(), "wrapped": wrapped(), "matches": matches()}))
