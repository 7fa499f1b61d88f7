"""What a Python engine needs to know of the tasks that a Lua worker serves in spec/e2e/reload_spec.lua."""
from taskflow import task


class First(task.Task):
    def execute(self, n):
        raise AssertionError("not here")


class Second(task.Task):
    def execute(self, a):
        raise AssertionError("not here")


class Last(task.Task):
    def execute(self, b):
        raise AssertionError("not here")
