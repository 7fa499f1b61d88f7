#!/usr/bin/python3
"""Runs flows (generator.py) through Python TaskFlow and says everything that can be seen of them.

    peer.py [QUIRK...] < SCENARIOS > OUTCOMES         one JSON object a line

A scenario with "groups" is a replay: completions are taken in these groups and this order, a list of groups for each
step of the scenario.

TaskFlow takes ready atoms and completions in the order of a hash table. Here both are made definite:
atoms start by priority, then in node order; completions are taken in order of submission, those of
retry controllers first, or as the replay says.

Defects that tfhost never imitates are repaired (doc/differences.md, second group):
- an atom that became ready in the very batch in which reverting was decided would be reverted without having run, which
  ends in an error; here it is not started;
- a flow that is suspended before a task that was submitted began ends REVERTED if nothing else is left to do, and goes
  on by reverting a task that never ran if others failed meanwhile; here it ends SUSPENDED, and such a task is PENDING;
- what is behind an ignored retry (or, for reverting, before it) is not looked at, which ends in an error; here it is;
- an optional input that only a later atom provides ends the run; here it is left out;
- reset() of a flow that is FAILURE or SUSPENDED resets its atoms and then complains of the flow's state; here it does not complain.

QUIRKs (quirks.py) are taken away from the peer.
"""
import json
import logging
import sys
from concurrent import futures

import taskflow.engines
from taskflow import exceptions, retry, storage, task
from taskflow.engines.action_engine import builder, completer, deciders, engine, runtime, scheduler, selector
from taskflow.patterns import graph_flow, linear_flow, unordered_flow
from taskflow.types import failure

import quirks

FLOWS = {'linear': linear_flow, 'unordered': unordered_flow, 'graph': graph_flow}
REPLAY = {'groups': None}


class Diverged(Exception):
    pass


# ---- the peer made definite ----

class InOrder:
    """The set of finished futures, taken in order of submission, or of the replay."""

    def __init__(self):
        self._futures = []

    def update(self, futures):
        self._futures.extend(f for f in futures if f not in self._futures)
        if REPLAY['groups'] is None:
            self._futures.sort(key=lambda f: (not isinstance(f.atom, retry.Retry), f.number))

    def pop(self):
        return self._futures.pop(0)

    def __len__(self):
        return len(self._futures)


class Later(futures.Future):
    """A call that runs when the replay says that it completes; never, if it does not say so again in this run."""

    def __init__(self, call, *args, **kwargs):
        super().__init__()
        self._call = lambda: call(*args, **kwargs)

    def run(self):
        if self._call and not self.cancelled():
            call, self._call = self._call, None
            action, result = call()
            # As of a task that ran in another process: the live exception stays there.
            if isinstance(result, failure.Failure):
                result = failure.Failure.from_dict(result.to_dict())
            self.set_result((action, result))

    def cancel(self):
        return not any(self.atom.name in group for group in REPLAY['groups']) and super().cancel()


class Executor(futures.Executor):
    """What runs the tasks of a replay."""

    def submit(self, call, /, *args, **kwargs):
        return Later(call, *args, **kwargs)


class Waiters:
    @staticmethod
    def wait_for_any(waiting, timeout=None):
        waiting = set(waiting)
        if REPLAY['groups'] is None:
            return waiting, set()
        cancelled = [f for f in waiting if f.cancelled()]
        if cancelled:
            return cancelled, waiting - set(cancelled)
        by_name = {f.atom.name: f for f in waiting}
        group = REPLAY['groups'].pop(0) if REPLAY['groups'] else []
        if not group or not set(group) <= set(by_name):
            REPLAY['groups'] = []
            for f in waiting:
                f.cancel()
            raise Diverged('tfhost completed %s, here run %s' % (group, sorted(by_name)))
        done = [by_name[name] for name in group]
        for f in done:
            if isinstance(f, Later):
                f.run()
        return done, waiting - set(done)


def make_definite():
    number = [0]

    def memory_init(self, original=builder.MachineMemory.__init__):
        original(self)
        self.done = InOrder()

    def schedule_all(self, atoms, original=scheduler.Scheduler.schedule):
        order = {a: i for i, a in enumerate(self._runtime.iterate_nodes(('task', 'retry')))}
        found = self._runtime.storage.get_atoms_states(a.name for a in atoms)
        runnable = [a for a in atoms if found[a.name] != ('PENDING', 'REVERT')]
        return original(self, sorted(runnable, key=lambda a: (-a.priority, order[a])))

    def numbered(original):
        def schedule(self, atom):
            future = original(self, atom)
            number[0] += 1
            future.number = number[0]
            return future
        return schedule

    def ignored(self):
        names = [a.name for a in self._runtime.iterate_nodes(('task', 'retry'))]
        return sum(state == 'IGNORE' for state, _ in self._storage.get_atoms_states(names).values())

    def candidates(self, atom, original):
        before = ignored(self)
        yield from original(self, atom)
        if atom is None:
            for left in self._runtime.iterate_nodes(('task', 'retry')):
                if self._storage.get_atom_state(left.name) in ('RUNNING', 'REVERTING'):
                    yield left, deciders.NoOpDecider()
        elif self._storage.get_atom_state(atom.name) == 'REVERTED':
            yield from self._browse_atoms_for_revert()
        while ignored(self) > before:
            before = ignored(self)
            yield from self._browse_atoms_for_execute()

    def next_atoms(self, atom=None, original=selector.Selector.iter_next_atoms):
        seen = set()
        for found, decider in candidates(self, atom, original):
            if found not in seen:
                seen.add(found)
                yield found, decider

    def resume(self, original=completer.Completer.resume):
        left = original(self)
        for atom in self._runtime.iterate_nodes(('task', 'retry')):
            if self._storage.get_atoms_states([atom.name])[atom.name] == ('RUNNING', 'REVERT'):
                self._runtime.fetch_action(atom).change_state(atom, 'PENDING')
                left.discard(atom)
        return left

    def fetch_mapped(self, mapping, optional_args=None, original=storage.Storage.fetch_mapped_args, **kwargs):
        found = {}
        for name, symbol in (mapping or {}).items():
            try:
                found.update(original(self, {name: symbol}, optional_args=optional_args, **kwargs))
            except exceptions.NotFound:
                if name not in (optional_args or ()):
                    raise
        return found

    def reset(self, original=engine.ActionEngine.reset):
        try:
            original(self)
        except exceptions.InvalidState:
            if self.storage.get_flow_state() not in ('FAILURE', 'SUSPENDED'):
                raise

    selector.Selector.iter_next_atoms = next_atoms
    completer.Completer.resume = resume
    storage.Storage.fetch_mapped_args = fetch_mapped
    engine.ActionEngine.reset = reset
    builder.MachineMemory.__init__ = memory_init
    scheduler.Scheduler.schedule = schedule_all
    for cls in (scheduler.TaskScheduler, scheduler.RetryScheduler):
        cls.schedule = numbered(cls.schedule)
    runtime.waiters = Waiters


# ---- nodes ----

class Calls:
    """What every atom was called with; counts failures too."""

    def __init__(self, log):
        self.log = log
        self.runs = {}

    def failing(self, node):
        n = self.runs[node['name']] = self.runs.get(node['name'], 0) + 1
        return node.get('fail') is True or n <= node.get('fail', 0)


def plain(value):
    if isinstance(value, failure.Failure):
        return {'failure': short(value)}
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def short(f):
    return [next(iter(f)).rsplit('.', 1)[-1], f.exception_str]


def method(name, params, optional, body):
    signature = ', '.join(['self'] + params + ['%s=None' % p for p in optional])
    given = ', '.join("'%s': %s" % (p, p) for p in params + optional)
    scope = {'body': body}
    exec('def %s(%s):\n    return body(self, {%s})' % (name, signature, given), scope)
    return scope[name]


def make_task(node, calls):
    def execute(self, given):
        calls.log('execute ' + self.name, plain(given))
        if calls.failing(node):
            raise RuntimeError('boom-' + self.name)
        return node['result']

    def revert(self, given):
        calls.log('revert ' + self.name, plain(given))
        if node.get('revert_fail'):
            raise ValueError('rboom-' + self.name)
        return 'reverted-' + self.name

    methods = {
        'execute': method('execute', node['params'], node.get('optional', []), execute),
        'revert': method('revert', node.get('revert_params', []) + ['result', 'flow_failures'], [], revert),
        'priority': node.get('priority', 0),
    }
    provides = node.get('provides')
    if isinstance(provides, dict):
        provides = set(provides['set'])
    cls = type('Node', (task.Task,), methods)
    return cls(node['name'], provides=provides, rebind=node.get('rebind'), inject=node.get('inject'))


class Custom(retry.Retry):
    def __init__(self, node, calls):
        self.node, self.calls = node, calls
        super().__init__(name=node['name'], provides=node.get('provides'))

    def execute(self, history):
        self.calls.log('execute ' + self.name, histories(history))
        if self.node.get('fail'):
            raise RuntimeError('boom-' + self.name)
        return len(history) * 10

    def on_failure(self, history):
        self.calls.log('on_failure ' + self.name, histories(history))
        decisions = self.node['decisions']
        decision = decisions[min(len(history), len(decisions)) - 1] if len(history) <= 3 else 'REVERT'
        if decision == 'raise':
            raise RuntimeError('no decision-' + self.name)
        return decision

    def revert(self, history, flow_failures):
        self.calls.log('revert ' + self.name, [histories(history), plain(flow_failures)])
        if self.node.get('revert_fail'):
            raise ValueError('rboom-' + self.name)


def histories(history):
    return [[value, {name: short(f) for name, f in failures.items()}] for value, failures in history]


def make_retry(node, calls):
    if node['class'] == 'Custom':
        return Custom(node, calls)
    kwargs = {k: node[k] for k in ('name', 'provides', 'attempts', 'values', 'revert_all', 'rebind') if k in node}
    return getattr(retry, node['class'])(**kwargs)


def make_decider(link):
    answer = link['decider']

    def decide(history):
        if answer == 'raise':
            raise RuntimeError('no answer')
        if answer == 'by result':
            return any(bool(v) and v is not True and not isinstance(v, failure.Failure) for v in history.values())
        return answer
    return decide


def make_flow(node, calls):
    if 'kind' not in node:
        return make_task(node, calls)
    controller = make_retry(node['retry'], calls) if 'retry' in node else None
    flow = getattr(FLOWS[node['kind']], 'TargetedFlow' if 'target' in node else 'Flow')(node['name'], retry=controller)
    children = [make_flow(c, calls) for c in node['children']]
    flow.add(*children)
    by_name = {c.name: c for c in children}
    for link in node.get('links', ()):
        kwargs = {}
        if 'decider' in link:
            kwargs = {'decider': make_decider(link), 'decider_depth': link.get('depth')}
        flow.link(by_name[link['from']], by_name[link['to']], **kwargs)
    if 'target' in node:
        flow.set_target(by_name[node['target']])
    return flow


# ---- runs ----

def raised(e):
    if isinstance(e, exceptions.WrappedFailure):
        return {'type': 'WrappedFailure', 'failures': [short(f) for f in e]}
    return {'type': type(e).__name__, 'text': str(e)}


def lookup(get, name):
    try:
        return {'value': plain(get(name))}
    except exceptions.NotFound:
        return None


def describe(eng, out):
    store = eng.storage
    atoms = [a for a in eng.compilation.execution_graph if isinstance(a, (task.Task, retry.Retry))]
    names = [a.name for a in atoms]
    out['flow_state'] = store.get_flow_state()
    out['atoms'] = {n: list(pair) for n, pair in store.get_atoms_states(names).items()}
    out['results'] = {n: lookup(store.get, n) for n in names}
    out['revert_results'] = {n: lookup(store.get_revert_result, n) for n in names}
    out['failures'] = {n: short(f) for n, f in store.get_execute_failures().items()}
    out['revert_failures'] = {n: short(f) for n, f in store.get_revert_failures().items()}
    out['histories'] = {a.name: histories(store.get_retry_history(a.name)) for a in atoms
                        if isinstance(a, retry.Retry)}
    out['fetched'] = plain(store.fetch_all())


def run(scenario):
    out = {'name': scenario['name'], 'events': [], 'raised': []}
    events = out['events']
    replay = 'groups' in scenario
    per_atom = out['calls'] = {}

    def log(what, given):
        per_atom.setdefault(what, []).append(given)
        if not replay:
            events.append(what)

    calls = Calls(log)
    try:
        flow = make_flow(scenario['flow'], calls)
        how = {'engine': 'parallel', 'executor': Executor()} if replay else {}
        eng = taskflow.engines.load(flow, store=scenario['store'], **how, **scenario['options'])
    except Exception as e:
        out['raised'].append({'type': type(e).__name__})
        return out

    notified = [0]

    def seen(event):
        events.append(event)
        notified[0] += 1
        if notified[0] == scenario.get('suspend_at'):
            eng.suspend()

    def on_atom(state, details):
        kind = 'task' if 'task_name' in details else 'retry'
        event = '%s %s %s' % (kind, details[kind + '_name'], state)
        if 'result' in details:
            event += ' ' + json.dumps(plain(details['result']), sort_keys=True)
        seen(event)

    eng.notifier.register('*', lambda state, details: seen('flow ' + state))
    eng.atom_notifier.register('*', on_atom)
    for i, step in enumerate(scenario['steps']):
        REPLAY['groups'] = list(scenario['groups'][i]) if replay else None
        try:
            if step == 'run_iter':
                for state in eng.run_iter():
                    if not replay:
                        events.append('machine ' + state)
            else:
                getattr(eng, step)()
            out['raised'].append(None)
        except Exception as e:
            out['raised'].append(raised(e))
        if REPLAY['groups']:
            out['raised'].append({'type': 'Diverged', 'text': 'tfhost went on to complete %s' % REPLAY['groups']})
    try:
        describe(eng, out)
    except exceptions.InvalidState:  # never compiled
        pass
    return out


def run_all(scenarios, without):
    """Outcomes, of a peer without these quirks. Once a process: what is patched stays so."""
    logging.disable(logging.CRITICAL)
    make_definite()
    quirks.take_away(without)
    return [run(s) for s in scenarios]


if __name__ == '__main__':
    for outcome in run_all([json.loads(line) for line in sys.stdin], sys.argv[1:]):
        print(json.dumps(outcome))
