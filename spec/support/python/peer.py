"""What peer_worker and peer_engine share: options, and a filesystem publisher that Python survives."""
import itertools
import json
import os
import time
import uuid

from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


def config(path):
    """Options as JSON: url, exchange, topic(s), transport, transport_options, and others as TaskFlow has them."""
    with open(path) as handle:
        return json.load(handle)


def patch_filesystem_publisher():
    """Make kombu 5.2.4 write, then rename, with milliseconds that rise.

    For Python talking to Python only (the baseline of the benchmark). As it comes, kombu shows a file under its
    final name before there is anything in it, and two files of one millisecond sort by chance, so that a
    Python reader dies on an empty file or drops a SUCCESS that overtakes its RUNNING after some dozens of messages.
    Peers of tfhost run unpatched: it has to cope with what kombu does.
    """
    stamps = itertools.count(int(time.monotonic() * 1000))

    def put(self, queue, payload, **kwargs):
        stamp = next(stamps)
        while stamp < int(time.monotonic() * 1000):
            stamp = next(stamps)
        name = "%d_%s.%s.msg" % (stamp, uuid.uuid4(), queue)
        part = os.path.join(self.data_folder_out, ".%s.part" % uuid.uuid4())
        with open(part, "wb") as handle:
            handle.write(str_to_bytes(dumps(payload)))
        os.rename(part, os.path.join(self.data_folder_out, name))

    filesystem.Channel._put = put


def slow_filesystem_publisher(seconds):
    """kombu's publisher as it is, on a machine so busy that it sleeps between making a file and writing it."""
    lock = filesystem.lock

    def lock_and_sleep(file, flags):
        lock(file, flags)
        time.sleep(seconds)

    filesystem.lock = lock_and_sleep
