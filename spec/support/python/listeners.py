"""Prints what TaskFlow's listeners say of one flow: a, b and the failing c under a retry controller.

usage: listeners.py {printing|logging|dynamic|durations|times|capture}
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


def main(kind):
    flow = linear_flow.Flow("f", retry=retry.Times(1, name="r"))
    flow.add(Give("a", "one"), Give("b", [1, 2]), Fail("c"))
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
