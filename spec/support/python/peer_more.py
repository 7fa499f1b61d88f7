"""A second module of tasks, for a worker on another topic."""
from taskflow import task as _task


class Elsewhere(_task.Task):
    def execute(self, value):
        return "elsewhere saw %s" % value
