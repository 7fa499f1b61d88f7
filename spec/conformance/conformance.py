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
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

import generator
import quirks
import shrinker

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TFHOST = os.path.abspath(os.environ.get('TFHOST', os.path.join(ROOT, 'build', 'tfhost')))
BATCH = 100
LIMIT = 600  # seconds that a batch may take


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


def outcomes(command, scenarios, env=None):
    """What a program that runs the scenarios says, one JSON object a line for each; they are its standard input, too."""
    text = ''.join(json.dumps(s) + '\n' for s in scenarios)
    done = subprocess.run(command, input=text.encode(), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=LIMIT)
    lines = done.stdout.decode().splitlines()
    if done.returncode or len(lines) != len(scenarios):
        at = scenarios[min(len(lines), len(scenarios) - 1)]
        raise SystemExit('%s\nended with %d after %d of %d flows, at\n%s\n%s' % (
            ' '.join(command), done.returncode, len(lines), len(scenarios), json.dumps(at),
            done.stderr.decode()[-4000:]))
    return [json.loads(line) for line in lines]


def peer(scenarios, without=()):
    return outcomes(['/usr/bin/python3', os.path.join(HERE, 'peer.py'), *without], scenarios)


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
    (re.compile(r'\[<Provider .*>\]'), 'its providers'),
]


def comparable(error):
    if not error or 'text' not in error:
        return error
    text = error['text']
    for pattern, plain in OWN_WORDS:
        text = pattern.sub(plain, text)
    return dict(error, text=text)


def canonical(outcome):
    out = dict(outcome)
    out['raised'] = [comparable(e) for e in outcome['raised']]
    out['events'] = [event(e) for e in outcome['events']]
    out.pop('groups', None)
    return out


def differences(ours, theirs):
    a, b = canonical(ours), canonical(theirs)
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

def report(scenario, engine, with_quirks, found, command):
    def differing(scenarios):
        return compare(scenarios, engine, with_quirks)[0]

    small = shrinker.shrink(scenario, differing, BATCH)
    again = differing([small])
    print('== %s, %s engine%s\n   %s' % (
        scenario['name'], engine, '' if with_quirks else ', quirks off', command))
    if again:
        print('   smallest: ' + json.dumps(small))
        found = again[0]
    for key, ours, theirs in found:
        print('   %s\n     tfhost %s\n     Python %s' % (key, json.dumps(ours), json.dumps(theirs)), flush=True)


def batches(options):
    end = options.first + options.flows
    for first in range(options.first, end, BATCH):
        indices = range(first, min(first + BATCH, end))
        yield indices, [generator.Generator(options.seed, i).scenario() for i in indices]


def mutated(options):
    """Every change of meaning is seen, or it is a difference of its own."""
    blind = []
    for name, mutate in MUTATIONS.items():
        seen = sum(len(compare(flows, 'serial', mutate=mutate)[0]) for _, flows in batches(options))
        print('%s: %d flows differ' % (name, seen), flush=True)
        blind += [] if seen else [name]
    print('%d changes of meaning, %d not seen' % (len(MUTATIONS), len(blind)))
    return 1 if blind else 0


def conformance(options):
    bad, total, reasons = 0, 0, collections.Counter()
    for indices, scenarios in batches(options):
        for engine in options.engines.split(','):
            for with_quirks in (True, False):
                total += len(scenarios)
                found, ours, replays = compare(scenarios, engine, with_quirks)
                for i, d in found.items():
                    bad += 1
                    if bad <= options.report:
                        command = 'make conformance SEED=%s FIRST=%d FLOWS=1 ENGINES=%s' % (
                            options.seed, indices[i], engine)
                        report(scenarios[i], engine, with_quirks, d, command)
                if not with_quirks:
                    reasons += classify(ours, replays)
    for name in quirks.NAMES + ['several together']:
        print('quirks off: %s is why %d runs differ from the peer as it is' % (name, reasons[name]))
    print('%d flows, %d runs, %d differences' % (options.flows, total, bad))
    return 1 if bad else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seed', default='')
    p.add_argument('--flows', type=int, default=5000)
    p.add_argument('--first', type=int, default=0, help='number of the first flow')
    p.add_argument('--engines', default='serial,parallel,worker-based')
    p.add_argument('--report', type=int, default=5, help='differences to print')
    p.add_argument('--mutated', action='store_true', help='instead: see that changes of meaning are seen')
    options = p.parse_args()
    options.seed = options.seed or str(random.randrange(10 ** 6))
    print('seed %s, %d flows' % (options.seed, options.flows), flush=True)
    sys.exit(mutated(options) if options.mutated else conformance(options))


if __name__ == '__main__':
    main()
