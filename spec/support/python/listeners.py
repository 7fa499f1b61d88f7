"""Prints what TaskFlow's listeners say of one flow: a, b and the failing c under a retry controller.

usage: listeners.py {printing|logging|dynamic|durations|times|capture|order}
"""
import json
import logging
import sys

from taskflow import engines, retry, task
from taskflow.listeners import capturing, printing, timing
from taskflow.listeners import logging as logging_listeners
from taskflow.patterns import linear_flow


class Give(task.Task):
    def __init__(self, name, result):
        super().__init__(name)
        self.result = result

    def execute(self):
        return self.result


class Fail(task.Task):
    def execute(self):
        raise RuntimeError("boom")


class Handler(logging.Handler):
    def emit(self, record):
        print(record.levelname, record.getMessage().split("\n")[0])


class Order:
    """What comes when, and what the storage says then."""

    def __init__(self, engine, tasks):
        self.storage = engine.storage
        engine.notifier.register("*", lambda state, details: print("flow", state))
        engine.atom_notifier.register("*", self.on_atom)
        for one in tasks:
            one.notifier.register("*", lambda event, details, one=one: print(one.name, event, details["progress"]))

    def on_atom(self, state, details):
        name = details.get("task_name")
        if name is None:
            print("retry", state)
            return
        stored = self.storage.get_atom_state(name)
        print(name, state, "stored", stored, self.storage.get_task_progress(name))

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass


def main(kind):
    flow = linear_flow.Flow("f", retry=retry.Times(1, name="r"))
    tasks = [Give("a", "one"), Give("b", [1, 2]), Fail("c")]
    flow.add(*tasks)
    engine = engines.load(flow)
    logger = logging.getLogger("listened")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(Handler())
    listener = {
        "printing": lambda: printing.PrintingListener(engine),
        "logging": lambda: logging_listeners.LoggingListener(engine, log=logger),
        "dynamic": lambda: logging_listeners.DynamicLoggingListener(engine, log=logger),
        "durations": lambda: timing.PrintingDurationListener(engine),
        "times": lambda: timing.EventTimeListener(engine),
        "order": lambda: Order(engine, tasks),
        "capture": lambda: capturing.CaptureListener(engine),
    }[kind]()
    with listener:
        try:
            engine.run()
        except RuntimeError:
            pass
    details = engine.storage._flowdetail
    if kind == "capture":
        for what, state, found in listener.values:
            print(what, state, " ".join(sorted(found)))
    metadata = {atom.name: sorted(atom.meta) for atom in details}
    metadata["f"] = sorted(details.meta)
    print(json.dumps(metadata, sort_keys=True))


main(sys.argv[1])
