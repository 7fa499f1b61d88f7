"""The task and the retry controller of spec/chaos, for workers and engines of Python TaskFlow."""
import json
import os
import time

from taskflow import retry
from taskflow import task


class Effect(task.Task):
    def execute(self, seconds):
        pid, began = os.getpid(), time.monotonic()
        time.sleep(seconds)
        effect = {"task": self.name, "slot": pid, "worker": pid, "began": began, "at": time.monotonic()}
        line = json.dumps(effect)
        with open(os.environ["CHAOS_EFFECTS"], "ab", buffering=0) as handle:
            handle.write((line + "\n").encode())  # one write, as the file is shared
        return line


class Again(retry.Times):
    """It writes down when the engine has a failure, and which."""

    def on_failure(self, history, *args, **kwargs):
        at = time.monotonic()
        with open(os.environ["PEER_JOURNAL"], "a") as handle:
            for name, failure in history[-1][1].items():
                entry = {"did": "failure", "at": at, "task": name, "why": failure.exception_str}
                handle.write(json.dumps(entry) + "\n")
        return super().on_failure(history, *args, **kwargs)
