"""usage: kombu_defects.py FOLDER

Shows what kombu's filesystem transport does with a directory, as one JSON object:
  stolen     what a consumer of queue "b" got that was sent to "a.b"
  order      of two messages of one queue, the second sent after the sender's machine was booted again
  listings   directories listed while 100 messages are read
"""
import json
import os
import sys
import time

from kombu import Connection
from kombu.transport import filesystem


def open_channel(folder):
    os.mkdir(folder)
    options = {"data_folder_in": folder, "data_folder_out": folder}
    return Connection("filesystem://", transport_options=options).channel()


def payload(number):
    return {"body": number}


def stolen(folder):
    channel = open_channel(folder)
    channel._put("a.b", payload("for a.b"))
    return channel._get("b")["body"]


def order(folder):
    channel = open_channel(folder)
    booted = filesystem.monotonic
    channel._put("q", payload("first"))
    filesystem.monotonic = lambda: 1.0
    channel._put("q", payload("second"))
    filesystem.monotonic = booted
    return [channel._get("q")["body"], channel._get("q")["body"]]


def listings(folder):
    channel = open_channel(folder)
    for number in range(100):
        channel._put("q", payload(number))
        time.sleep(0.001)
    count, listdir = [0], os.listdir

    def counting(path):
        count[0] += 1
        return listdir(path)

    os.listdir = counting
    for _ in range(100):
        channel._get("q")
    os.listdir = listdir
    return count[0]


def main():
    shown = {}
    for show in (stolen, order, listings):
        shown[show.__name__] = show(os.path.join(sys.argv[1], show.__name__))
    print(json.dumps(shown))


if __name__ == "__main__":
    main()
