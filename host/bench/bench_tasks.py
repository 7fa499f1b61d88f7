"""The task of the benchmark: what is measured is the way there and back."""
from taskflow import task as _task


class Nothing(_task.Task):
    def execute(self):
        return None
