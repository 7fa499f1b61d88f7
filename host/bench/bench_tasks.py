"""The tasks of the benchmark: what is measured is the way there and back."""
from taskflow import task as _task


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Nothing(_task.Task):
    def execute(self):
        return None


class Fib(_task.Task):
    def execute(self):
        return fib(33)
