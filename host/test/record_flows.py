#!/usr/bin/python3
"""Record what Python TaskFlow does with random flows: an oracle for test_engine_scenarios.

    /usr/bin/python3 host/test/record_flows.py SEED COUNT FILE
    build/test/test_engine_scenarios FILE

The notation is that of spec/fixtures/vectors/README.md.  TaskFlow schedules siblings and takes
completions in the order of a hash table; here both are made definite, so that events can be
compared one by one: atoms start by priority, then in node order; completions are taken in order of
submission, those of retry controllers (which run in the engine's process) first.

Left out are three defects of TaskFlow 5.0.0: an atom that became ready in the same batch in which
reverting was decided is reverted without having run (here it is not started); flows that end in
InvalidState because of a retry controller that a decider ignored; and failures under such a
controller.
"""
import json
import logging
import random
import sys

import taskflow.engines
from taskflow import exceptions, retry, task
from taskflow.engines.action_engine import builder, runtime, scheduler
from taskflow.patterns import graph_flow, linear_flow, unordered_flow
from taskflow.types import failure

FLOWS = {'linear': linear_flow, 'unordered': unordered_flow, 'graph': graph_flow}


class InOrder:
    """The set of finished futures, taken in order of submission."""

    def __init__(self):
        self._futures = []

    def update(self, futures):
        self._futures.extend(f for f in futures if f not in self._futures)
        self._futures.sort(key=lambda f: f.number)

    def pop(self):
        return self._futures.pop(0)

    def __len__(self):
        return len(self._futures)


class Waiters:
    @staticmethod
    def wait_for_any(futures, timeout=None):
        futures = set(futures)
        retries = {f for f in futures if isinstance(f.atom, retry.Retry)}
        return (retries, futures - retries) if retries else (futures, set())


def make_definite():
    number = [0]

    def memory_init(self, original=builder.MachineMemory.__init__):
        original(self)
        self.done = InOrder()

    def schedule_all(self, atoms, original=scheduler.Scheduler.schedule):
        order = {a: i for i, a in enumerate(self._runtime.iterate_nodes(('task', 'retry')))}
        states = self._runtime.storage.get_atoms_states(a.name for a in atoms)
        runnable = [a for a in atoms if states[a.name] != ('PENDING', 'REVERT')]
        return original(self, sorted(runnable, key=lambda a: (-a.priority, order[a])))

    def numbered(original):
        def schedule(self, atom):
            future = original(self, atom)
            number[0] += 1
            future.number = number[0]
            return future
        return schedule

    builder.MachineMemory.__init__ = memory_init
    scheduler.Scheduler.schedule = schedule_all
    for cls in (scheduler.TaskScheduler, scheduler.RetryScheduler):
        cls.schedule = numbered(cls.schedule)
    runtime.waiters = Waiters


class Task(task.Task):
    def __init__(self, notation, events):
        provides = notation.get('provides')
        if isinstance(provides, dict):
            provides = set(provides['set'])
        self.notation = notation
        self.events = events
        self.failures = notation.get('fail', 0)
        self.priority = notation.get('priority', 0)
        super().__init__(notation['name'], provides=provides, requires=notation.get('requires'))

    def execute(self, **kwargs):
        self.events.append('execute ' + self.name)
        if self.failures is True or self.failures > 0:
            if self.failures is not True:
                self.failures -= 1
            raise RuntimeError('boom-' + self.name)
        return self.notation['result']

    def revert(self, **kwargs):
        self.events.append('revert ' + self.name)
        if self.notation.get('revert_fail'):
            raise ValueError('rboom-' + self.name)
        return 'reverted-' + self.name


def make_retry(notation):
    kwargs = {k: v for k, v in notation.items() if k in ('name', 'provides', 'attempts', 'values', 'revert_all')}
    return getattr(retry, notation['class'])(**kwargs)


def make_flow(notation, events):
    if 'kind' not in notation:
        return Task(notation, events)
    controller = make_retry(notation['retry']) if 'retry' in notation else None
    flow = FLOWS[notation['kind']].Flow(notation['name'], retry=controller)
    children = [make_flow(c, events) for c in notation['children']]
    flow.add(*children)
    by_name = {c.name: c for c in children}
    for link in notation.get('links', ()):
        kwargs = {}
        if 'decider' in link:
            kwargs = {'decider': lambda history, answer=link['decider']: answer, 'decider_depth': link.get('depth')}
        flow.link(by_name[link['from']], by_name[link['to']], **kwargs)
    return flow


def write_links(notation, flow):
    """Put all links of graph flows, those by symbols too, into the notation."""
    if 'kind' not in notation:
        return
    if notation['kind'] == 'graph':
        deciders = {(link['from'], link['to']): link for link in notation['links'] if 'decider' in link}
        notation['links'] = [deciders.get((u.name, v.name), {'from': u.name, 'to': v.name})
                             for u, v, _data in flow.iter_links()]
        notation['auto'] = False
    by_name = {c['name']: c for c in notation['children']}
    for child in flow:
        write_links(by_name[child.name], child)


def run(scenario):
    events = []
    flow = make_flow(scenario['flow'], events)
    write_links(scenario['flow'], flow)
    engine = taskflow.engines.load(flow, store=scenario['store'], **scenario.get('options', {}))

    def on_flow(state, details):
        events.append('flow ' + state)

    def on_atom(state, details):
        kind = 'task' if 'task_name' in details else 'retry'
        events.append('%s %s %s' % (kind, details[kind + '_name'], state))

    engine.notifier.register('*', on_flow)
    engine.atom_notifier.register('*', on_atom)
    scenario['outcome'] = 'ok'
    try:
        engine.run()
    except exceptions.WrappedFailure as e:
        scenario.update(outcome='raised', exception='WrappedFailure', failures=[f.exception_str for f in e])
    except Exception as e:
        scenario.update(outcome='raised', exception=type(e).__name__)
        if isinstance(e, (RuntimeError, ValueError)):
            scenario['message'] = str(e)
    scenario['events'] = events
    scenario['flow_state'] = engine.storage.get_flow_state()
    states = engine.storage.get_atoms_states(a.name for a in engine.compilation.execution_graph
                                             if isinstance(a, (task.Task, retry.Retry)))
    scenario['atoms'] = {name: list(pair) for name, pair in states.items()}
    results = engine.storage.fetch_all()
    values = [v for r in results.values() for v in (r if isinstance(r, list) else [r])]
    if not any(isinstance(v, failure.Failure) for v in values):
        scenario['results'] = results


class Generator:
    def __init__(self, rng):
        self.rng = rng
        self.count = 0
        self.symbols = []

    def chance(self, p):
        return self.rng.random() < p

    def name(self, prefix):
        self.count += 1
        return prefix + str(self.count)

    def task(self, available, in_graph):
        t = {'name': self.name('t'), 'result': self.rng.choice([1, None, 's', [1, 2], {'x': 1}])}
        if self.chance(.15):
            t['fail'] = True if self.chance(.5) else self.rng.randint(1, 3)
        if self.chance(.05):
            t['revert_fail'] = True
        if self.chance(.3):
            t['priority'] = self.rng.randint(-1, 2)
        if self.chance(.4):
            fresh = in_graph or not self.symbols or self.chance(.5)
            symbol = self.name('s') if fresh else self.rng.choice(self.symbols)
            t['provides'] = symbol
            if self.chance(.15):
                t['provides'] = [symbol, self.name('s')]
            elif self.chance(.1) and not in_graph:
                t['provides'] = {'set': ['x']}
            self.symbols.append(symbol)
        if available and self.chance(.4):
            t['requires'] = [self.rng.choice(available)]
        return t

    def retry(self):
        r = {'class': self.rng.choice(['Times', 'Times', 'AlwaysRevert', 'AlwaysRevertAll', 'ForEach']),
             'name': self.name('r')}
        if r['class'] == 'Times':
            r['attempts'] = self.rng.randint(1, 3)
        if r['class'] == 'ForEach':
            r['values'] = [self.rng.randint(1, 3) for _ in range(self.rng.randint(0, 3))]
        if r['class'] in ('Times', 'ForEach'):
            if self.chance(.3):
                r['revert_all'] = True
            if self.chance(.5):
                r['provides'] = self.name('s')
        return r

    def links(self, children):
        links = []
        for i, first in enumerate(children):
            for second in children[i + 1:]:
                if not self.chance(.4):
                    continue
                links.append({'from': first['name'], 'to': second['name']})
                if self.chance(.5):
                    links[-1]['decider'] = self.chance(.5)
                    links[-1]['depth'] = self.rng.choice(['ALL', 'FLOW', 'NEIGHBORS', 'ATOM'])
        return links

    def flow(self, depth, available):
        kind = self.rng.choice(['linear', 'linear', 'unordered', 'graph'])
        f = {'kind': kind, 'name': self.name('f'), 'children': []}
        available = list(available)
        if self.chance(.4):
            f['retry'] = self.retry()
            available += [f['retry']['provides']] if 'provides' in f['retry'] else []
        for _ in range(self.rng.randint(0 if self.chance(.1) else 1, 4)):
            nested = depth > 0 and self.chance(.35)
            child = self.flow(depth - 1, available) if nested else self.task(available, kind == 'graph')
            f['children'].append(child)
            if kind == 'linear':
                available += provided(child)
        if kind == 'graph':
            f['links'] = self.links(f['children'])
        return f


def provided(notation):
    if 'kind' in notation:
        names = [n for c in notation['children'] for n in provided(c)]
        return names + provided(notation.get('retry', {}))
    p = notation.get('provides', [])
    return [p] if isinstance(p, str) else p if isinstance(p, list) else p['set']


def is_defect(scenario):
    text = scenario.get('exception', '') + str(scenario.get('failures', ''))
    return any(word in text for word in ('InvalidState', 'StorageFailure', 'most recent retry failures'))


def main(seed, count, path):
    logging.disable(logging.CRITICAL)
    make_definite()
    scenarios = []
    for i in range(int(count)):
        rng = random.Random(int(seed) * 1000003 + i)
        scenario = {'name': 'random-%s-%d' % (seed, i), 'ordered': True, 'store': {'st': 5},
                    'flow': Generator(rng).flow(3, ['st'])}
        option = rng.choice(['defer_reverts', 'never_resolve'] + [None] * 10)
        if option:
            scenario['options'] = {option: True}
        try:
            run(scenario)
        except (exceptions.DependencyFailure, exceptions.Duplicate):  # symbols made it a wrong graph
            continue
        if not is_defect(scenario):
            scenarios.append(scenario)
    with open(path, 'w') as f:
        f.write('{"description": "Recorded by host/test/record_flows.py from TaskFlow 5.0.0.", "scenarios": [\n')
        f.write(',\n'.join(json.dumps(s) for s in scenarios))
        f.write('\n]}\n')
    print('%d scenarios' % len(scenarios))


if __name__ == '__main__':
    main(*sys.argv[1:])
