"""usage: peer_engine.py CONFIG.json SCENARIO.json

Runs a flow on the worker-based engine of Python TaskFlow and prints one JSON object: state, results by name,
atoms with their states, failures, events in the order they came. scenario_flow.lua builds the same flows for
`tfhost run`; scenario.lua says what a scenario is.
"""
import importlib
import json
import logging
import sys

from taskflow import engines
from taskflow import task as base
from taskflow.listeners import base as listener_base
from taskflow.patterns import graph_flow, linear_flow, unordered_flow

import peer

PATTERNS = {"linear": linear_flow.Flow, "unordered": unordered_flow.Flow, "graph": graph_flow.Flow}


def named(reference):
    module, cls = reference.rsplit(".", 1)
    return getattr(importlib.import_module(module), cls)


def build(node, events):
    if "pattern" in node:
        again = None
        if "attempts" in node:
            again = named(node.get("retry", "taskflow.retry.Times"))(node["attempts"], name=node["name"] + "-retry")
        flow = PATTERNS[node["pattern"]](node["name"], retry=again)
        for child in node["children"]:
            flow.add(build(child, events))
        return flow
    atom = named(node["task"])(
        name=node["name"],
        provides=node.get("provides"),
        requires=node.get("requires"),
        rebind=node.get("rebind"),
        inject=node.get("inject"),
    )

    def heard(event_type, details):
        events.append([atom.name, event_type, details.get("progress")])

    atom.notifier.register(base.EVENT_UPDATE_PROGRESS, heard)
    return atom


class States(listener_base.Listener):
    def __init__(self, engine):
        super().__init__(engine)
        self.atoms, self.flow = {}, None

    def _task_receiver(self, state, details):
        self.atoms[details["task_name"]] = state

    def _flow_receiver(self, state, details):
        self.flow = state


def main():
    logging.basicConfig(level=logging.ERROR)
    options = peer.config(sys.argv[1])
    if options.pop("patched", False):
        peer.patch_filesystem_publisher()
    if "slow_publisher" in options:
        peer.slow_filesystem_publisher(options.pop("slow_publisher"))
    scenario = peer.config(sys.argv[2])
    events = []
    engine = engines.load(
        build(scenario["flow"], events), engine="worker-based", store=scenario.get("store"), **options
    )
    raised = None
    with States(engine) as states:
        try:
            engine.run()
        except Exception as error:
            raised = "%s: %s" % (type(error).__name__, error)
    failures = {name: f.to_dict() for name, f in engine.storage.get_execute_failures().items()}
    reverts = {name: f.to_dict() for name, f in engine.storage.get_revert_failures().items()}
    json.dump(
        {
            "state": states.flow,
            "results": engine.storage.fetch_all(),
            "atoms": states.atoms,
            "failures": failures,
            "revert_failures": reverts,
            "raised": raised,
            "events": events,
        },
        sys.stdout,
        default=lambda value: {"unserialisable": str(value)},
    )
    print()


if __name__ == "__main__":
    main()
