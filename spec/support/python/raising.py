"""Tasks that fail in ways of their own; ../raising.lua has the same."""
from taskflow import exceptions
from taskflow import task as _task
from taskflow.types import failure


class Chained(_task.Task):
    def execute(self):
        raise RuntimeError("outer", 7) from OSError("inner")


class Missing(_task.Task):
    def execute(self):
        raise exceptions.NotFound("nothing there", cause=exceptions.StorageFailure("disk"))


class Wrapping(_task.Task):
    def execute(self):
        raise exceptions.WrappedFailure([failure.Failure.from_exception(ValueError("deep"))])
