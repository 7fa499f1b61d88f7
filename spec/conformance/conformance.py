#!/usr/bin/python3
"""Random flows through tfhost and through Python TaskFlow: nothing that can be seen may differ.

What is compared: states of the flow at each step, states and intentions of atoms, results of execute and revert,
failures, histories of retries, what run() raises, what fetch_all gives, all arguments of all calls, and the order of
events. Concurrent engines of tfhost are run for real; the order of completions that they saw is replayed to the peer.

tfhost runs with reference_quirks on. Then all of it runs with the option off, where nothing may differ from a peer whose
quirks are taken away (quirks.py), and what differs from the peer as it is must come from these: each is counted.

A flow that differs is made as small as possible and printed with both outcomes and the command that repeats it.
Exit code 1 if any differs.
"""
import argparse
import collections
import concurrent.futures
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

import generator
import peer as python
import quirks
import shrinker

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TFHOST = os.path.abspath(os.environ.get('TFHOST', os.path.join(ROOT, 'build', 'tfhost')))
BATCH = 100
LIMIT = 600  # seconds that a batch may take


class Broken(Exception):
    """One of the two did not come to an end."""


class Arena:
    """A directory for one batch of flows, with a worker that serves it."""

    def __init__(self, scenarios):
        self.dir = tempfile.mkdtemp(prefix='tfhost-conformance-')
        self.flows = os.path.join(self.dir, 'flows')
        self.scenarios = scenarios
        self.worker = None
        with open(self.flows, 'w') as f:
            f.writelines(json.dumps(s) + '\n' for s in scenarios)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.worker:
            self.worker.terminate()
            try:
                self.worker.wait(20)
            except subprocess.TimeoutExpired:
                self.worker.kill()
                self.worker.wait()
        shutil.rmtree(self.dir)

    def env(self):
        runs = os.path.join(self.dir, 'runs')
        os.mkdir(runs)
        return dict(os.environ, TF_CONFORMANCE_FLOWS=self.flows, TF_CONFORMANCE_RUNS=runs, LUA_PATH=HERE + '/?.lua;;')

    def start_worker(self, env):
        where = {'url': 'filesystem://' + self.dir + '/spool', 'exchange': 'conformance', 'topics': ['work']}
        with open(os.path.join(self.dir, 'worker.log'), 'w') as log:
            self.worker = subprocess.Popen(
                [TFHOST, 'worker', '--url', where['url'], '--exchange', where['exchange'], '--topic', 'work',
                 '--slots', '2', 'conformance_tasks'], cwd=self.dir, env=env, stdout=log, stderr=log)
        return where

    def run(self, engine, with_quirks):
        env = self.env()
        options = {'engine': engine, 'reference_quirks': with_quirks}
        if engine == 'parallel':
            options['max_workers'] = 2
        if engine == 'worker-based':
            options.update(self.start_worker(env))
        return outcomes([TFHOST, 'lua', os.path.join(HERE, 'ours.lua'), json.dumps(options)], self.scenarios, env)


def outcomes(command, scenarios, env):
    """What a program that runs the scenarios says: one JSON object a line for each."""
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=LIMIT)
    lines = done.stdout.decode().splitlines()
    if done.returncode or len(lines) != len(scenarios):
        at = scenarios[min(len(lines), len(scenarios) - 1)]
        raise Broken('tfhost ended with %d after %d of %d flows, at\n%s\n%s' % (
            done.returncode, len(lines), len(scenarios), json.dumps(at), done.stderr.decode()[-4000:]))
    return [json.loads(line) for line in lines]


def peer(scenarios, without=()):
    """The outcomes of the peer, from a fork of this process: it has TaskFlow loaded, and patches stay in there."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            signal.alarm(LIMIT)
            with os.fdopen(writer, 'w') as out:
                json.dump(python.run_all(scenarios, without), out)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    if os.waitpid(child, 0)[1] != 0:
        raise Broken('the peer broke in a flow of %s ... %s' % (scenarios[0]['name'], scenarios[-1]['name']))
    return json.loads(text)


# ---- comparison ----

def event(text):
    """Results in events are JSON: compare what they say, not how."""
    words = text.split(' ', 3)
    return words[:3] + [json.loads(words[3])] if len(words) == 4 else words


# What the two say in their own words: tfhost names the atom and the line of the script that is to blame, Python shows
# objects.
OWN_WORDS = [
    (re.compile(r"\n *'[^\n']*' of flow '[^\n']*' is made at [^\n]*:\d+"), ''),
    (re.compile(r"^'(execute|revert)' method of '[^\n']*': "), ''),
    (re.compile(r" \(from on_failure of retry '[^\n']*', flow '[^\n']*'\)"), ''),
    (re.compile(r'\[<Provider .*>\]'), 'its providers'),
    (re.compile(r"(so new retry failure can be inserted)(: '[^\n]*' has never executed, '[^\n]*' failed"
                r"|\n  NotFound: Last failures not found\n    IndexError: list index out of range)$"), r'\1'),
]


def plain_text(text):
    for pattern, plain in OWN_WORDS:
        text = pattern.sub(plain, text)
    return text


def comparable(error):
    if not error:
        return error
    out = dict(error)
    if 'text' in out:
        out['text'] = plain_text(out['text'])
    if 'failures' in out:
        out['failures'] = sorted([kind, plain_text(text)] for kind, text in out['failures'])
    return out


def canonical(outcome):
    out = dict(outcome)
    out['raised'] = [comparable(e) for e in outcome['raised']]
    out['events'] = [event(e) for e in outcome['events']]
    out.pop('groups', None)
    return out


def cut_short(ours, theirs):
    """Texts of tfhost end in "..." after 1000 bytes: what is there has to be the beginning of the other's."""
    for a, b in zip(ours, theirs):
        if a and b and a.get('text', '').endswith('...') and b.get('text', '').startswith(a['text'][:-3]):
            b['text'] = a['text']


def differences(ours, theirs):
    a, b = canonical(ours), canonical(theirs)
    cut_short(a['raised'], b['raised'])
    return [(key, a.get(key), b.get(key)) for key in sorted(set(a) | set(b)) if not same(a.get(key), b.get(key))]


def same(a, b):
    """Equal, and of one type: 1, 1.0 and True are three values."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def replayed(scenarios, ours):
    return [dict(s, groups=o['groups']) if 'groups' in o else s for s, o in zip(scenarios, ours)]


def compare(scenarios, engine, with_quirks=True, mutate=None):
    """Differences by index of flow; and outcomes and replays, for who wants to know why."""
    with Arena([mutate(s) for s in scenarios] if mutate else scenarios) as arena:
        ours = arena.run(engine, with_quirks)
    replays = replayed(scenarios, ours)
    theirs = peer(replays, () if with_quirks else quirks.NAMES)
    found = {i: differences(o, t) for i, (o, t) in enumerate(zip(ours, theirs))}
    return {i: d for i, d in found.items() if d}, ours, replays


def classify(ours, replays):
    """How often each quirk is why flows without quirks differ from the peer as it is.

    A quirk is, if its presence alone changes the outcome; or else several only together.
    """
    plain = peer(replays)
    differing = [i for i, (o, t) in enumerate(zip(ours, plain)) if differences(o, t)]
    counts, explained = collections.Counter(), set()
    if not differing:
        return counts
    for name in quirks.NAMES:
        others = [n for n in quirks.NAMES if n != name]
        for i, theirs in zip(differing, peer([replays[i] for i in differing], others)):
            if differences(ours[i], theirs):
                counts[name] += 1
                explained.add(i)
    counts['several together'] = len(differing) - len(explained)
    return +counts


# ---- deliberate changes of meaning, which a comparison has to see ----

def each_node(scenario, change):
    scenario = json.loads(json.dumps(scenario))
    for node in [scenario['flow']] + [shrinker.at(scenario['flow'], p) for p in shrinker.paths(scenario['flow'])]:
        change(node)
    return scenario


def changed(key, value):
    def change(node):
        if key in node:
            node[key] = value(node[key])
    return lambda scenario: each_node(scenario, change)


def link_depths(links):
    return [dict(k, depth='ATOM') if 'depth' in k else k for k in links]


def retry_once_more(retry):
    return dict(retry, attempts=retry['attempts'] + 1) if 'attempts' in retry else retry


MUTATIONS = {
    'defer-reverts': lambda s: dict(s, options=dict(s['options'], defer_reverts=not s['options'].get('defer_reverts'))),
    'priority': changed('priority', lambda p: -p),
    'decider-depth': changed('links', link_depths),
    'attempts': changed('retry', retry_once_more),
    'no-store': lambda s: dict(s, store={k: v for k, v in s['store'].items() if k in ('st', 'lst')}),
    'revert-works': changed('revert_fail', lambda _: False),
}


# ---- the whole ----

Job = collections.namedtuple('Job', 'seed indices engine with_quirks mutation')


def do(job):
    """Differences by number of flow, and why those without quirks differ from the peer as it is."""
    scenarios = [generator.Generator(job.seed, i).scenario() for i in job.indices]
    found, ours, replays = compare(scenarios, job.engine, job.with_quirks, MUTATIONS.get(job.mutation))
    reasons = collections.Counter()
    if not job.with_quirks:
        fine = [i for i in range(len(scenarios)) if i not in found]
        reasons = classify([ours[i] for i in fine], [replays[i] for i in fine])
    return {job.indices[i]: d for i, d in found.items()}, reasons


def report(job, index, found):
    def differing(scenarios):
        return compare(scenarios, job.engine, job.with_quirks, MUTATIONS.get(job.mutation))[0]

    scenario = generator.Generator(job.seed, index).scenario()
    print('== %s, %s engine%s\n   make conformance SEED=%s FIRST=%d FLOWS=1 ENGINES=%s' % (
        scenario['name'], job.engine, '' if job.with_quirks else ', quirks off', job.seed, index, job.engine))
    small = shrinker.shrink(scenario, differing)
    again = differing([small])
    if again:
        print('   smallest: ' + json.dumps(small))
        found = again[0]
    for key, ours, theirs in found:
        print('   %s\n     tfhost %s\n     Python %s' % (key, json.dumps(ours), json.dumps(theirs)))
    sys.stdout.flush()


def jobs(options):
    end = options.first + options.flows
    engines = [(e, True) for e in options.engines.split(',')]
    engines += [(e, False) for e in (options.engines if options.off is None else options.off).split(',') if e]
    for first in range(options.first, end, BATCH):
        for engine, with_quirks in engines:
            yield Job(options.seed, range(first, min(first + BATCH, end)), engine, with_quirks, options.mutate)


def conformance(options):
    bad, total, reasons = 0, 0, collections.Counter()
    fork = multiprocessing.get_context('fork')
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=fork) as pool:
        todo = list(jobs(options))
        for job, (found, why) in zip(todo, pool.map(do, todo)):
            total += len(job.indices)
            reasons += why
            for index, differing in found.items():
                bad += 1
                if bad <= options.report:
                    report(job, index, differing)
    for name in [] if options.off == '' else quirks.NAMES + ['several together']:
        print('quirks off: %s is why %d runs differ from the peer as it is' % (name, reasons[name]))
    print('%d flows, %d runs, %d differences' % (options.flows, total, bad))
    return 1 if bad else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seed', default='', help='of the random flows; default: another one each time')
    p.add_argument('--flows', type=int, default=5000)
    p.add_argument('--first', type=int, default=0, help='number of the first flow')
    p.add_argument('--engines', default='serial,parallel,worker-based')
    p.add_argument('--off', help='engines that run with quirks off, too; default: all')
    p.add_argument('--report', type=int, default=5, help='differences to print')
    p.add_argument('--mutate', choices=sorted(MUTATIONS), help='give tfhost flows that mean something else')
    options = p.parse_args()
    options.seed = options.seed or str(random.randrange(10 ** 6))
    print('seed %s, %d flows' % (options.seed, options.flows), flush=True)
    try:
        sys.exit(conformance(options))
    except Broken as e:
        sys.exit(str(e))


if __name__ == '__main__':
    main()
