"""Task classes that interop specs run; peer_tasks.lua has the same ones, name for name.

Whatever a task sees it writes as a line of JSON to the file named by PEER_JOURNAL, so that a spec
knows what ran, where, how often and with which arguments, even when the flow reports nothing.
"""
import json
import os
import time

from taskflow import task as _task

BIG = "x" * (1 << 20)

VALUES = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "integer": 42,
    "negative": -7,
    "real": 0.1,
    "tiny": 5e-324,
    "string": "plain",
    "empty_string": "",
    "empty_list": [],
    "empty_map": {},
    "list": [1, [2, [3, []]], {}, None, "x"],
    "map": {"b": 1, "a": {"empty": [], "null": None}, "": "no name"},
    "unicode": "\u00e9 \u4e2d\u6587 \U0001f600 \u2028 \ufeff",
    "control": "\x00\x01\x1f\t\r\n\"\\/\x7f",
    "above_2_53": 9007199254740993,
    "int64_max": 9223372036854775807,
    "int64_min": -9223372036854775808,
    "megabyte": BIG,
    # What Lua has no value for, and what an engine must hand on all the same.
    "wider_than_64_bits": 10**30,
    "real_one": 1.0,
    "not_a_number": float("nan"),
    "infinity": float("inf"),
    "minus_infinity": float("-inf"),
    "lone_surrogate": "\ud800",
    "many_digits": 0.1 + 0.2,
}


def describe(value):
    """The value as it arrived here, as text that does not depend on the language."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return "n%d" % value
    if isinstance(value, float):
        return "n%.17g" % value
    if isinstance(value, str):
        raw = value.encode("utf-8")
        if len(raw) > 64:
            return "s%d:%d" % (len(raw), sum(raw) % 65521)
        return "s" + raw.hex()
    if isinstance(value, list):
        return "[" + ",".join(describe(v) for v in value) + "]"
    # An order that both languages have: the bytes of the keys.
    keys = sorted(value, key=lambda k: k.encode("utf-8"))
    return "{" + ",".join(describe(k) + ":" + describe(value[k]) for k in keys) + "}"


def journal(**entry):
    path = os.environ.get("PEER_JOURNAL")
    if path:
        entry["pid"] = entry["host"] = os.getpid()
        entry["language"] = "python"
        line = (json.dumps(entry) + "\n").encode()
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def what(outcome):
    """A result or a failure as a revert is given it."""
    if hasattr(outcome, "exception_str"):
        return "failure " + outcome.exception_str
    return describe(outcome)


def texts(failures):
    return sorted("%s=%s" % (name, f.exception_str) for name, f in failures.items())


class Give(_task.Task):
    """Makes the value of that name."""

    def execute(self, kind):
        return VALUES[kind]


class Echo(_task.Task):
    def execute(self, value):
        return value


class Picky(_task.Task):
    """Takes one argument more than its namesake in Lua, so that a worker meets what it does not take."""

    def execute(self, value, more):
        return [value, more]


class WaitFor(_task.Task):
    """Runs until the file exists."""

    def execute(self, path):
        journal(task=self.name, did="start")
        while not os.path.exists(path):
            time.sleep(0.02)
        journal(task=self.name, did="end")
        return path


class Describe(_task.Task):
    def execute(self, value):
        return describe(value)


class Exact(_task.Task):
    """The JSON of what arrived."""

    def execute(self, value):
        return json.dumps(value)


class Pair(_task.Task):
    """A list whose items get names of their own."""

    def execute(self, first, second):
        return [second, first]


class Nothing(_task.Task):
    def execute(self):
        journal(task=self.name, did="execute")


class Undo(_task.Task):
    """Doubles; tells what its revert was given."""

    def execute(self, value):
        journal(task=self.name, did="execute", value=describe(value))
        return value * 2

    def revert(self, value, result, flow_failures):
        journal(
            task=self.name,
            did="revert",
            value=describe(value),
            result=what(result),
            failures=texts(flow_failures),
        )
        return "undone"


class Boom(_task.Task):
    def execute(self):
        journal(task=self.name, did="execute")
        raise RuntimeError("Woot!")

    def revert(self, result, flow_failures):
        journal(task=self.name, did="revert", result=what(result), failures=texts(flow_failures))


class RevertBoom(_task.Task):
    def execute(self):
        return "fine"

    def revert(self, result, flow_failures):
        raise RuntimeError("cannot undo")


class BadResult(_task.Task):
    """Returns what no message can carry."""

    def execute(self):
        return lambda: None


class Progress(_task.Task):
    def execute(self, steps):
        for step in range(1, steps + 1):
            self.update_progress(step / steps)
            # Files of one millisecond sort by chance in kombu's filesystem transport.
            time.sleep(0.005)
        return steps


class Slow(_task.Task):
    def execute(self, seconds):
        journal(task=self.name, did="start")
        time.sleep(seconds)
        journal(task=self.name, did="end")
        return seconds

    def revert(self, result, flow_failures):
        journal(task=self.name, did="revert", result=what(result))


class Join(_task.Task):
    """Takes all it is given, sorted by name."""

    def execute(self, **values):
        return [values[name] for name in sorted(values)]


class Absent(_task.Task):
    """Known to engines; workers of the specs are told not to serve it."""

    def execute(self):
        return None
