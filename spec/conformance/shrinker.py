"""Makes a flow that shows a difference as small as possible."""
import copy
import json


def smaller(scenario):
    """Scenarios with one thing less each; a flow of one thing is as good as that thing."""
    for path in paths(scenario['flow']):
        if 'kind' in at(scenario['flow'], path):
            yield dict(scenario, flow=at(scenario['flow'], path))
    for path in paths(scenario['flow']):
        less = copy.deepcopy(scenario)
        node = at(less['flow'], path[:-1])
        gone = node['children'].pop(path[-1])
        if 'retry' not in gone and len(gone.get('children', [])) == 1:
            node['children'][path[-1]:path[-1]] = gone['children']
        if node.get('target') == gone['name']:
            del node['target']
        node['links'] = [k for k in node.get('links', []) if gone['name'] not in (k['from'], k['to'])]
        yield less
    for path in [()] + list(paths(scenario['flow'])):
        for key in ('retry', 'fail', 'revert_fail', 'provides', 'rebind', 'inject', 'optional', 'priority', 'revert_all',
                    'links', 'target', 'revert_params'):
            if key in at(scenario['flow'], path):
                less = copy.deepcopy(scenario)
                del at(less['flow'], path)[key]
                yield less
    if 'suspend_at' in scenario:
        yield {k: v for k, v in scenario.items() if k != 'suspend_at'}
    if len(scenario['steps']) > 1:
        yield dict(scenario, steps=scenario['steps'][:-1])
    if scenario['options']:
        yield dict(scenario, options={})


def paths(flow, prefix=()):
    for i, child in enumerate(flow.get('children', [])):
        yield prefix + (i,)
        yield from paths(child, prefix + (i,))


def at(flow, path):
    for i in path:
        flow = flow['children'][i]
    return flow


TRIED = 25  # at once


def shrink(scenario, differing):
    """The smallest that still differs. differing(scenarios): those that do, by index."""
    def size(s):
        return len(json.dumps(s))

    while True:
        candidates = sorted(smaller(scenario), key=size)
        for first in range(0, len(candidates), TRIED):
            tried = candidates[first:first + TRIED]
            found = differing([rename(c, i) for i, c in enumerate(tried)])
            if found:
                break
        else:
            return scenario
        scenario = tried[min(found)]


def rename(scenario, suffix):
    """Names of atoms have to be unique in a batch."""
    text = json.dumps(scenario)
    for node in [scenario['flow']] + [at(scenario['flow'], p) for p in paths(scenario['flow'])]:
        for name in [node['name']] + ([node['retry']['name']] if 'retry' in node else []):
            text = text.replace('"%s"' % name, '"%s_%s"' % (name, suffix))
    return json.loads(text)
