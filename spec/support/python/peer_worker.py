"""usage: peer_worker.py CONFIG.json

A worker of Python TaskFlow. Tasks are all of peer_tasks but Absent, unless "tasks" says otherwise.
"""
import inspect
import logging
import signal
import sys
import threading

from taskflow import task
from taskflow.engines.worker_based import worker

import peer
import peer_tasks


def served():
    for name, member in sorted(vars(peer_tasks).items()):
        if inspect.isclass(member) and issubclass(member, task.Task) and name != "Absent":
            yield "peer_tasks:" + name


def main():
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = peer.config(sys.argv[1])
    if config.pop("patched", False):
        peer.patch_filesystem_publisher()
    config.setdefault("tasks", list(served()))
    served_here = worker.Worker(**config)
    loop = threading.Thread(target=served_here.run, daemon=True)
    loop.start()
    served_here.wait()
    print("serving", flush=True)
    loop.join()


if __name__ == "__main__":
    main()
