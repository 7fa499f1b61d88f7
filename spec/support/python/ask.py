"""usage: ask.py CONFIG.json

Sends raw messages to a worker and prints, for each, what came back: a list of [type or state, data] in order of
arrival. CONFIG: exchange, topic, url or spool, and messages: [{"type", "body", "without": [property, ...]}, ...].
Ends when nothing has come for a while.
"""
import base64
import json
import os
import sys
import time
import uuid
from urllib.parse import urlsplit

import amqp

import peer

QUIET = 2.0  # seconds
LIMIT = 30.0


class Broker:
    def __init__(self, config, reply):
        self.exchange = config["exchange"]
        url = urlsplit(config["url"])
        self.connection = amqp.Connection(
            host="%s:%d" % (url.hostname, url.port), userid=url.username, password=url.password
        )
        self.connection.connect()
        self.channel = self.connection.channel()
        self.channel.exchange_declare(self.exchange, "direct", durable=False, auto_delete=True)
        self.queue = "%s_%s" % (self.exchange, reply)
        self.channel.queue_declare(self.queue, durable=False, exclusive=False, auto_delete=True)
        self.channel.queue_bind(self.queue, self.exchange, reply)

    def send(self, topic, properties, body):
        properties = {key: value for key, value in properties.items() if value is not None}
        self.channel.basic_publish(
            amqp.Message(body, content_type="application/json", **properties), self.exchange, topic
        )

    def receive(self):
        message = self.channel.basic_get(self.queue, no_ack=True)
        return message and (message.properties, message.body)


class Spool:
    def __init__(self, config, reply):
        self.folder = config["spool"]
        self.exchange = config["exchange"]
        self.reply = reply
        self.stamp = int(time.monotonic() * 1000)

    def send(self, topic, properties, body):
        self.stamp += 1
        payload = {
            "body": base64.b64encode(body.encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {},
            "properties": dict(properties, body_encoding="base64", delivery_tag=str(uuid.uuid4())),
        }
        part = os.path.join(self.folder, ".ask-%d.part" % self.stamp)
        with open(part, "w") as handle:
            json.dump(payload, handle)
        name = "%d_%s.%s_%s.msg" % (self.stamp, uuid.uuid4(), self.exchange, topic)
        os.rename(part, os.path.join(self.folder, name))

    def receive(self):
        ending = ".%s_%s.msg" % (self.exchange, self.reply)
        names = [name for name in os.listdir(self.folder) if name.endswith(ending)]
        if not names:
            return None
        path = os.path.join(self.folder, min(names, key=lambda name: int(name.split("_")[0])))
        with open(path) as handle:
            payload = json.load(handle)
        os.unlink(path)
        return payload["properties"], base64.b64decode(payload["body"])


def main():
    config = peer.config(sys.argv[1])
    reply = str(uuid.uuid4())
    way = (Broker if "url" in config else Spool)(config, reply)
    ids = {}
    for number, message in enumerate(config["messages"]):
        correlation_id = str(uuid.uuid4())
        ids[correlation_id] = number
        properties = {"type": message["type"], "reply_to": reply, "correlation_id": correlation_id}
        for name in message.get("without", []):
            properties[name] = None
        body = message["body"]
        way.send(config["topic"], properties, body if isinstance(body, str) else json.dumps(body))
    answers = [[] for _ in config["messages"]]
    notices = []
    start = last = time.monotonic()
    while time.monotonic() < last + QUIET and time.monotonic() < start + LIMIT:
        got = way.receive()
        if not got:
            time.sleep(0.02)
            continue
        last = time.monotonic()
        properties, body = got[0], json.loads(got[1])
        if properties["type"] == "NOTIFY":
            notices.append(body)
        else:
            answers[ids[properties["correlation_id"]]].append([body["state"], body["data"]])
    json.dump({"answers": answers, "notices": notices}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
