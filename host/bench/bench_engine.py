"""usage: bench_engine.py OPTIONS.json chain|fan N

Runs one task and then N on Python TaskFlow, and prints seconds a task of the N, from the outcome of the first to the
last.
"""
import sys
import time

from taskflow import engines, states
from taskflow.patterns import linear_flow, unordered_flow

import bench_tasks
import peer


def main():
    options = peer.config(sys.argv[1])
    if options.pop("patched", False):
        peer.patch_filesystem_publisher()
    count = int(sys.argv[3])
    measured = (linear_flow if sys.argv[2] == "chain" else unordered_flow).Flow("measured")
    measured.add(*[bench_tasks.Nothing("t%d" % i) for i in range(count)])
    flow = linear_flow.Flow("bench").add(bench_tasks.Nothing("first"), measured)
    engine = engines.load(flow, engine="worker-based", **options)
    outcomes = []
    engine.atom_notifier.register(states.SUCCESS, lambda *_, **__: outcomes.append(time.monotonic()))
    engine.run()
    assert len(outcomes) == count + 1
    print("%.9f" % ((outcomes[-1] - outcomes[0]) / count))


if __name__ == "__main__":
    main()
