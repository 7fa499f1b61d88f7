"""Random flows, as plain data that Python and Lua build from.

A node is a flow {kind, name, children, retry?, links?, target?} or a task {name, result, ...}:

    params, optional    parameters of execute; those that may be missing come last
    revert_params       parameters of revert, beside result and flow_failures
    provides            a name, a list of names, {"set": names}
    rebind, inject      as in TaskFlow
    fail                true, or how many of the first executions fail
    revert_fail         true
    priority, result

Names of atoms are unique in a batch of flows: one worker serves them all.
"""
import random

VALUES = [1, None, 's', [1, 2], {'x': 1, 's9': 2}, [], {}, 2 ** 60, 1.5, True, 'h\u00e9']


class Generator:
    def __init__(self, seed, index):
        self.rng = random.Random('%s/%s' % (seed, index))
        self.index = index
        self.count = 0
        self.symbols = []

    def chance(self, p):
        return self.rng.random() < p

    def name(self, prefix):
        self.count += 1
        return '%s%d_%s' % (prefix, self.count, self.index)

    def scenario(self):
        flow = self.flow(self.rng.choice([1, 2, 3, 4]), ['st', 'lst'])
        out = {'name': 'flow-%s' % self.index, 'flow': flow, 'store': {'st': 5, 'lst': [1, 2, 1]}, 'options': {}}
        if self.symbols and self.chance(.15):
            out['store'][self.rng.choice(self.symbols)] = 'from the store'
        option = self.rng.choice(['defer_reverts', 'never_resolve'] + [None] * 10)
        if option:
            out['options'][option] = True
        if self.chance(.1):
            out['options']['inject_transient'] = False
        out['steps'] = self.rng.choice([['run']] * 6 + [['run', 'run'], ['run', 'reset', 'run'], ['run_iter'],
                                                        ['run', 'reset', 'run_iter', 'run']])
        if self.chance(.12):
            out['suspend_at'] = self.rng.randint(1, 12)  # after so many events
            out['steps'] = self.rng.choice([['run', 'run'], ['run_iter', 'run'], ['run', 'reset', 'run']])
        return out

    # ---- tasks ----

    def task(self, available, in_graph):
        t = {'name': self.name('t'), 'result': self.rng.choice(VALUES)}
        self.failures(t)
        if self.chance(.3):
            t['priority'] = self.rng.randint(-1, 2)
        self.provides(t, in_graph)
        self.inputs(t, available)
        return t

    def failures(self, t):
        if self.chance(.15):
            t['fail'] = True if self.chance(.5) else self.rng.randint(1, 3)
        if self.chance(.04):
            t['revert_fail'] = True

    def provides(self, t, in_graph):
        if not self.chance(.45):
            return
        fresh = in_graph and self.chance(.97) or not self.symbols or self.chance(.5)
        symbol = self.name('s') if fresh else self.rng.choice(self.symbols)
        t['provides'] = symbol
        if self.chance(.2):
            t['provides'] = [symbol, self.name('s')]
            if self.chance(.7):
                t['result'] = self.rng.choice([[7, 8], [7], ['p', 'q', 'r']])
        elif self.chance(.1) and not in_graph:
            names = self.rng.sample(['x', 's9', 'y'], 2)
            t['provides'] = {'set': sorted(names)}
        self.symbols.append(symbol)

    def inputs(self, t, available):
        params = []
        for _ in range(self.rng.randint(1, 2) if available and self.chance(.5) else 0):
            symbol = self.rng.choice(available)
            if symbol not in params:
                params.append(symbol)
        t['params'] = list(params)
        if params and self.chance(.25):
            t['params'] = ['p%d' % i for i in range(len(params))]
            as_list = self.chance(.5)
            t['rebind'] = params if as_list else dict(zip(t['params'], params))
        elif self.chance(.1):
            symbol = self.rng.choice(params or ['i1'])
            t['params'] = params or ['i1']
            t['inject'] = {symbol: self.rng.choice(VALUES)}
        if self.chance(.12):
            t['optional'] = [self.rng.choice(['nobody', 'st'] + available + self.symbols)]
            if t['optional'][0] in t['params']:
                del t['optional']
        if 'rebind' not in t and params and self.chance(.3):
            t['revert_params'] = [params[0]]
        elif 'rebind' in t:
            t['revert_params'] = list(t['params'])  # rebind is revert's too

    # ---- flows ----

    def retry(self):
        r = {'class': self.rng.choice(['Times', 'Times', 'AlwaysRevert', 'AlwaysRevertAll', 'ForEach',
                                       'ParameterizedForEach', 'Custom']),
             'name': self.name('r')}
        if r['class'] == 'Times':
            r['attempts'] = self.rng.randint(1, 3)
        if r['class'] == 'ForEach':
            r['values'] = [self.rng.randint(1, 3) for _ in range(self.rng.randint(0, 3))]
        if r['class'] == 'ParameterizedForEach':
            r['rebind'] = {'values': 'lst'}
        if r['class'] == 'Custom':
            decisions = ['RETRY', 'RETRY', 'REVERT', 'REVERT_ALL', 'nonsense', 'raise']
            weights = [8, 8, 4, 4, 1, 1]
            r['decisions'] = self.rng.choices(decisions, weights, k=self.rng.randint(1, 3))
            if self.chance(.1):
                r['fail'] = True
            if self.chance(.1):
                r['revert_fail'] = True
        if r['class'] in ('Times', 'ForEach', 'ParameterizedForEach') and self.chance(.3):
            r['revert_all'] = True
        if r['class'] not in ('AlwaysRevert', 'AlwaysRevertAll') and self.chance(.5):
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
                    links[-1]['decider'] = self.rng.choice([True, False, True, False, 'by result', 'raise'])
                    if links[-1]['decider'] == 'raise' and self.chance(.8):
                        links[-1]['decider'] = False
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
            if kind == 'linear' or (kind == 'graph' and self.chance(.5)):
                available += provided(child)
        if kind == 'graph':
            f['links'] = self.links(f['children'])
            if f['children'] and self.chance(.1):
                f['target'] = self.rng.choice(f['children'])['name']
        return f


def provided(node):
    if 'kind' in node:
        names = [n for c in node['children'] for n in provided(c)]
        return names + provided(node.get('retry', {}))
    p = node.get('provides', [])
    return [p] if isinstance(p, str) else p if isinstance(p, list) else p['set']
