"""usage: feed.py CONFIG.json

Sends malformed messages to a worker or an engine, waits until they are taken, and prints how many of each kind, as JSON.

CONFIG: exchange, count, seed, role ("worker" or "engine"), topic (for an engine: a topic that it probes and nobody
serves; the probe tells where it listens), and url, or spool for the filesystem transport.
The same seed sends the same messages.
"""
import base64
import json
import os
import random
import sys
import time
import uuid
from urllib.parse import urlsplit

import amqp

import peer

GOOD_FAILURE = {
    "exception_str": "x",
    "traceback_str": "",
    "exc_type_names": ["RuntimeError", "Exception"],
    "version": 1,
    "exc_args": [],
    "causes": [],
}
REQUEST = {
    "task_cls": "peer_tasks.Nothing",
    "task_name": "malformed",
    "task_version": [1, 0],
    "action": "execute",
    "arguments": {},
}
REVERT = dict(REQUEST, action="revert", result=["success", 1], failures={"t": GOOD_FAILURE})
RESPONSES = [
    {"state": "RUNNING", "data": {}},
    {"state": "SUCCESS", "data": {"result": 1}},
    {"state": "EVENT", "data": {"event_type": "update_progress", "details": {"progress": 0.5}}},
]
JUNK = [None, True, 0, -1, 1.5, "", "x", [], [1], {}, {"a": 1}]


def encode(value):
    return json.dumps(value).encode()


def wrong(rng, *allowed):
    """A value of none of the allowed types."""
    return rng.choice([v for v in JUNK if not isinstance(v, allowed) or (isinstance(v, bool) and bool not in allowed)])


# Each kind: rng -> (type property, body). All are to be rejected.


def random_bytes(rng):
    return rng.choice(["REQUEST", "RESPONSE", "NOTIFY"]), b"\xff" + rng.randbytes(rng.randrange(200))


def not_an_object(rng):
    return "REQUEST", encode(wrong(rng, dict))


def truncated(rng):
    body = encode(REVERT)
    return "REQUEST", body[: rng.randrange(1, len(body))]


def trailing(rng):
    return "REQUEST", encode(REQUEST) + rng.choice([b"}", b"x", b",", b"{}", b"\0"])


def deep(rng):
    depth = rng.choice([2000, 20000, 100000])
    opener, closer = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    body = b'{"task_cls": "peer_tasks.Nothing", "arguments": {"a": ' + opener * depth
    return "REQUEST", body + (b"1" + closer * depth + b"}}" if rng.random() < 0.5 else b"")


def huge(rng):
    text = "h" * rng.choice([100000, 1 << 20])
    return "REQUEST", encode(rng.choice([dict(REQUEST, action=text), dict(REQUEST, task_name=[text]), [text]]))


def bad_utf8(rng):
    junk = rng.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x28\xa1", b"\xc3"])
    return "REQUEST", encode(REQUEST).replace(b"malformed", junk)


def bad_escape(rng):
    junk = rng.choice([b"\\x41", b"\\u12", b"\\", b"\n", b"\x01", b"\\uZZZZ"])
    return "REQUEST", encode(REQUEST).replace(b"malformed", junk)


def bad_number(rng):
    junk = rng.choice([b"01", b"1.", b".5", b"+1", b"0x10", b"1e", b"--1", b"Infinit", b"nan"])
    return "REQUEST", encode(dict(REQUEST, arguments={"a": 12345})).replace(b"12345", junk)


def missing_key(rng):
    message = dict(REQUEST)
    del message[rng.choice(["task_cls", "task_name", "task_version", "action"])]
    return "REQUEST", encode(message)


def wrong_type(rng):
    message = dict(REQUEST)
    key, allowed = rng.choice(
        [("task_cls", (str,)), ("task_name", (str,)), ("task_version", (str, list)), ("arguments", (dict,))]
    )
    message[key] = wrong(rng, *allowed)
    return "REQUEST", encode(message)


def bad_action(rng):
    return "REQUEST", encode(dict(REQUEST, action=rng.choice(["", "EXECUTE", "run", None, 1, ["execute"]])))


def bad_result(rng):
    return "REQUEST", encode(dict(REVERT, result=rng.choice([1, "success", [], ["success"], ["success", 1, 2], {}])))


def bad_failures(rng):
    failure = rng.choice(
        [
            1,
            [],
            {},
            dict(GOOD_FAILURE, exc_type_names=[]),
            dict(GOOD_FAILURE, exc_type_names=["RuntimeError"]),
            dict(GOOD_FAILURE, traceback_str=None),
            dict(GOOD_FAILURE, version=-1),
            dict(GOOD_FAILURE, causes=[dict(GOOD_FAILURE, exception_str=1)]),
        ]
    )
    if rng.random() < 0.5:
        return "REQUEST", encode(dict(REVERT, failures={"t": failure}))
    return "REQUEST", encode(dict(REVERT, result=["failure", failure]))


def bad_notify(rng):
    return "NOTIFY", encode(rng.choice([{"a": 1}, {"topic": "t"}, [], 1, None, {"tasks": []}]))


def unknown_type(rng):
    return rng.choice(["", "notify", "REPLY", "x" * 200, None]), encode(REQUEST)


def empty(rng):
    return "REQUEST", b""


def bad_response(rng):
    message = dict(rng.choice(RESPONSES))
    change = rng.randrange(5)
    if change == 0:
        del message[rng.choice(["state", "data"])]
    elif change == 1:
        message["state"] = rng.choice(["", "DONE", "success", None, 1, []])
    elif change == 2:
        message["data"] = rng.choice([None, 1, [], "x", {"a": 1}, {"event_type": 1, "details": {}}])
    elif change == 3:
        message["data"] = rng.choice([{"event_type": "e"}, {"event_type": "e", "details": []}])
    else:
        message["data"] = {"result": 1, "event_type": "e", "details": {}}
    return "RESPONSE", encode(message)


def bad_answer(rng):
    return "NOTIFY", encode(
        rng.choice(
            [{"topic": 1, "tasks": []}, {"topic": "t"}, {"tasks": ["a"]}, {"topic": "t", "tasks": {}}]
            + [{"topic": "t", "tasks": [1]}, {"topic": "t", "tasks": [], "more": 1}, [], 1]
        )
    )


BOTH = [random_bytes, truncated, trailing, deep, bad_utf8, bad_escape, bad_number, unknown_type, empty, not_an_object]
KINDS = {
    "worker": BOTH + [missing_key, wrong_type, bad_action, bad_result, bad_failures, bad_notify],
    "engine": BOTH + [bad_response, bad_answer],
}
HUGE_EVERY = 500  # a megabyte each


def messages(config):
    rng = random.Random(config["seed"])
    role = config["role"]
    for number in range(config["count"]):
        kind = huge if number % HUGE_EVERY == 0 else rng.choice(KINDS[role])
        type_name, body = kind(rng)
        if role == "engine" and type_name == "REQUEST":
            type_name = "RESPONSE"  # what the engine handles
        yield kind.__name__, type_name, body


class Broker:
    def __init__(self, config):
        self.exchange = config["exchange"]
        url = urlsplit(config["url"])
        self.connection = amqp.Connection(
            host="%s:%d" % (url.hostname, url.port), userid=url.username, password=url.password
        )
        self.connection.connect()
        self.channel = self.connection.channel()
        self.channel.exchange_declare(self.exchange, "direct", durable=False, auto_delete=True)

    def engine_of(self, topic, seconds):
        queue = "%s_%s" % (self.exchange, topic)
        self.channel.queue_declare(queue, durable=False, exclusive=False, auto_delete=True)
        self.channel.queue_bind(queue, self.exchange, topic)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            message = self.channel.basic_get(queue, no_ack=True)
            if message:
                return message.properties["reply_to"]
            time.sleep(0.05)
        sys.exit("no engine probes " + topic)

    def send(self, rng, topic, type_name, body):
        properties = {
            "content_type": rng.choice(["application/json"] * 8 + ["text/plain", "application/x-python-serialize"]),
            "reply_to": "nobody",
            "correlation_id": str(uuid.UUID(int=rng.getrandbits(128))),
        }
        if type_name is not None:
            properties["type"] = type_name
        self.channel.basic_publish(amqp.Message(body, **properties), self.exchange, topic)

    def await_empty(self, topic, seconds):
        limit = time.monotonic() + seconds
        while self.channel.queue_declare("%s_%s" % (self.exchange, topic), passive=True).message_count:
            if time.monotonic() > limit:
                sys.exit("the queue of %s does not get empty" % topic)
            time.sleep(0.1)

    def close(self):
        self.connection.close()


class Spool:
    """Malformed bodies in good files, and files that are malformed themselves."""

    def __init__(self, config):
        self.folder = config["spool"]
        self.exchange = config["exchange"]
        self.files = 0
        self.broken = {}

    def engine_of(self, topic, seconds):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            for name in sorted(os.listdir(self.folder)):
                if name.endswith(".%s_%s.msg" % (self.exchange, topic)):
                    with open(os.path.join(self.folder, name)) as handle:
                        return json.load(handle)["properties"]["reply_to"]
            time.sleep(0.05)
        sys.exit("no engine probes " + topic)

    def send(self, rng, topic, type_name, body):
        payload = {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},
            "properties": {
                "type": type_name,
                "reply_to": "nobody",
                "correlation_id": str(uuid.UUID(int=rng.getrandbits(128))),
                "delivery_mode": 2,
                "delivery_info": {"exchange": self.exchange, "routing_key": topic},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.UUID(int=rng.getrandbits(128))),
            },
        }
        text = encode(payload)
        if rng.random() < 0.2:
            text = self.damage(rng, payload, text)
        self.files += 1
        name = "%d_%s.%s_%s.msg" % (
            int(time.monotonic() * 1000),
            uuid.UUID(int=rng.getrandbits(128), version=4),
            self.exchange,
            topic,
        )
        part = os.path.join(self.folder, ".feed-%d.part" % self.files)
        with open(part, "wb") as handle:
            handle.write(text)
        os.rename(part, os.path.join(self.folder, name))

    @staticmethod
    def damage(rng, payload, text):
        choice = rng.randrange(6)
        if choice == 0:
            return text[: rng.randrange(len(text))]
        if choice == 1:
            return rng.randbytes(rng.randrange(300))
        if choice == 2:
            del payload["properties"]
        elif choice == 3:
            payload["body"] = rng.choice(["*", "=", "a", 7, None, []])
        elif choice == 4:
            payload["properties"] = rng.choice([1, [], None, "x"])
        else:
            return encode(rng.choice([[], 1, None, "x"]))
        return encode(payload)

    def await_empty(self, topic, seconds):
        ending = ".%s_%s.msg" % (self.exchange, topic)
        limit = time.monotonic() + seconds
        while any(name.endswith(ending) for name in os.listdir(self.folder)):
            if time.monotonic() > limit:
                sys.exit("files of %s are left" % topic)
            time.sleep(0.1)

    def close(self):
        pass


def main():
    config = peer.config(sys.argv[1])
    rng = random.Random(config["seed"] + 1)
    way = Broker(config) if "url" in config else Spool(config)
    topic = config["topic"]
    if config["role"] == "engine":
        topic = way.engine_of(topic, 20)
    kinds = {}
    for kind, type_name, body in messages(config):
        way.send(rng, topic, type_name, body)
        kinds[kind] = kinds.get(kind, 0) + 1
    way.await_empty(topic, 90)
    way.close()
    json.dump({"sent": config["count"], "kinds": kinds}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
