"""The task of spec/chaos/effects.lua, for workers and engines of Python TaskFlow."""
import json
import os
import time

from taskflow import task


class Effect(task.Task):
    def execute(self, seconds):
        began = time.monotonic()
        time.sleep(seconds)
        line = json.dumps({"task": self.name, "slot": os.getpid(), "began": began, "at": time.monotonic()})
        with open(os.environ["CHAOS_EFFECTS"], "ab", buffering=0) as handle:
            handle.write((line + "\n").encode())  # one write, as the file is shared
        return line
