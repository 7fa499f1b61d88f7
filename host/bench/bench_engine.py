"""usage: bench_engine.py OPTIONS.json SHAPE N

Runs one task and then a flow of N on Python TaskFlow, and prints JSON as bench_engine.lua does.
"""
import json
import sys
import time

from taskflow import engines, states
from taskflow.patterns import graph_flow, linear_flow, unordered_flow

import bench_tasks
import peer

LAYER = 10


def dag(count):
    flow, layer, before, seed = graph_flow.Flow("dag"), [], [], 1
    for i in range(1, count + 1):
        task = bench_tasks.Nothing("t%d" % i)
        flow.add(task)
        layer.append(task)
        for _ in range(2 if before else 0):
            seed = seed * 16807 % 2147483647
            flow.link(before[seed % len(before)], task)
        if len(layer) == LAYER:
            layer, before = [], layer
    return flow


def fill(flow, task, count):
    return flow.add(*[task("t%d" % i) for i in range(count)])


SHAPES = {
    "chain": lambda n: fill(linear_flow.Flow("chain"), bench_tasks.Nothing, n),
    "fan": lambda n: fill(unordered_flow.Flow("fan"), bench_tasks.Nothing, n),
    "fib": lambda n: fill(unordered_flow.Flow("fib"), bench_tasks.Fib, n),
    "dag": dag,
}


def main():
    options = peer.config(sys.argv[1])
    if options.pop("patched", False):
        peer.patch_filesystem_publisher()
    count = int(sys.argv[3])
    local = "engine" in options
    begun = time.monotonic()
    flow = SHAPES[sys.argv[2]](count)
    if not local:
        flow = linear_flow.Flow("bench").add(bench_tasks.Nothing("first"), flow)
        options["engine"] = "worker-based"
    engine = engines.load(flow, **options)
    engine.compile()
    loaded = time.monotonic()
    outcomes = [loaded] if local else []
    engine.atom_notifier.register(states.SUCCESS, lambda *_, **__: outcomes.append(time.monotonic()))
    engine.run()
    assert len(outcomes) == count + 1
    print(json.dumps({"seconds": (outcomes[-1] - outcomes[0]) / count, "load": (loaded - begun) / count}))


if __name__ == "__main__":
    main()
