"""TaskFlow's persistence, asked by specs.

  logbook.py dump CONNECTION [PATH]           every book with flows and atoms, as JSON on stdout
  logbook.py write CONNECTION [PATH]          run flows that succeed, fail and retry, kept there; then dump
  logbook.py killed CONNECTION                run a, b, c; b kills the process
  logbook.py resume CONNECTION FLOW           run a, b, c on from what is kept; prints what was executed
"""
import json
import os
import signal
import sys

from taskflow import engines, retry, task
from taskflow.patterns import linear_flow
from taskflow.persistence import backends, models


class Give(task.Task):
    def __init__(self, name, value):
        super().__init__(name, provides="from_" + name)
        self.value = value

    def execute(self):
        return self.value


class FailOnce(task.Task):
    runs = 0

    def execute(self):
        FailOnce.runs += 1
        if FailOnce.runs == 1:
            raise ValueError("first time")
        return "second time"


class Fail(task.Task):
    def execute(self):
        raise RuntimeError("bad \u00e9\u20ac")


class Step(task.Task):
    default_provides = None

    def __init__(self, name, requires=(), fatal=False):
        super().__init__(name, provides="from_" + name, requires=requires)
        self.fatal = fatal

    def execute(self, **kwargs):
        print("execute", self.name, json.dumps(kwargs, sort_keys=True), flush=True)
        if self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.name.upper()


def steps(fatal):
    return linear_flow.Flow("steps").add(
        Step("a"), Step("b", requires=["from_a"], fatal=fatal), Step("c", requires=["from_a", "from_b"]))


def open_backend(connection, path=None, create=False):
    conf = {"connection": connection}
    if path:
        conf["path"] = path
    backend = backends.fetch(conf)
    if create:
        if connection.startswith("postgresql"):
            # Debian's package lacks the scripts of the migrations; these are the same tables.
            backend.get_connection()._metadata.create_all(bind=backend.engine)
        else:
            backend.get_connection().upgrade()
    return backend


def atom(detail):
    found = detail.to_dict()
    found["kind"] = models.atom_detail_type(detail)
    return found


def dump(backend):
    books = []
    for book in backend.get_connection().get_logbooks():
        flows = []
        for flow in book:
            kept = flow.to_dict()
            kept["atoms"] = sorted((atom(a) for a in flow), key=lambda a: a["uuid"])
            flows.append(kept)
        kept = book.to_dict()
        kept["created_at"] = str(kept["created_at"])
        del kept["updated_at"]  # the time of the last add(), which was just now
        kept["flows"] = sorted(flows, key=lambda f: f["uuid"])
        books.append(kept)
    json.dump(sorted(books, key=lambda b: b["uuid"]), sys.stdout)


def run(flow, backend, book):
    engine = engines.load(flow, backend=backend, book=book, store={"injected": [1, 2.5, None]})
    try:
        engine.run()
    except Exception:
        pass


def write(backend):
    book = models.LogBook("written by Python")
    book.meta = {"who": "Python"}
    backend.get_connection().save_logbook(book)
    values = ["text \u00e9", 2 ** 70, 1.0, None, True, [], {}, {"deep": [{"er": None}]}]
    run(linear_flow.Flow("good").add(*[Give("t%d" % i, v) for i, v in enumerate(values)]), backend, book)
    run(linear_flow.Flow("again", retry=retry.Times(2, name="r", provides="round")).add(FailOnce("once")), backend,
        book)
    run(linear_flow.Flow("bad").add(Give("before", 1), Fail("fail")), backend, book)


def main(command, connection, *rest):
    if command == "dump":
        dump(open_backend(connection, *rest))
    elif command == "write":
        backend = open_backend(connection, *rest, create=True)
        write(backend)
        dump(backend)
    elif command == "killed":
        backend = open_backend(connection, create=True)
        engines.run(steps(fatal=True), backend=backend)
    elif command == "resume":
        backend = open_backend(connection)
        detail = backend.get_connection().get_flow_details(rest[0])
        engine = engines.load(steps(fatal=False), flow_detail=detail, backend=backend)
        engine.run()
        print("results", json.dumps(engine.storage.fetch_all(), sort_keys=True))
    else:
        raise SystemExit(__doc__)


main(*sys.argv[1:])
