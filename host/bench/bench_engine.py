"""usage: bench_engine.py OPTIONS.json chain|fan N

Runs N tasks on Python TaskFlow and prints seconds a task, from the first outcome to the last.
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
    flow = (linear_flow if sys.argv[2] == "chain" else unordered_flow).Flow("bench")
    flow.add(*[bench_tasks.Nothing("t%d" % i) for i in range(count)])
    engine = engines.load(flow, engine="worker-based", **options)
    outcomes = []
    engine.atom_notifier.register(states.SUCCESS, lambda *_, **__: outcomes.append(time.monotonic()))
    engine.run()
    assert len(outcomes) == count
    print("%.9f" % ((outcomes[-1] - outcomes[0]) / (count - 1)))


if __name__ == "__main__":
    main()
