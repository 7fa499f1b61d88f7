"""What Python TaskFlow does and tfhost does only if `reference_quirks` asks for it, each as a patch that takes it away
from the peer. The list is that of doc/differences.md, third group.

A quirk that is taken away stays so until the process ends.
"""
from taskflow import states
from taskflow import storage
from taskflow.engines.action_engine import completer, runtime


def wrap(cls, name):
    """Replaces cls.name by what the decorated function makes of (original, self, ...)."""
    def decorate(f):
        original = getattr(cls, name)
        setattr(cls, name, lambda self, *args, **kwargs: f(original, self, *args, **kwargs))
        return f
    return decorate


def forget(runtime_, atoms):
    for atom in atoms:
        runtime_.storage._failures[atom.name].clear()


def stale_failures():
    """Failures of rounds that were retried successfully stay in flow_failures and in what run() raises."""
    @wrap(storage.Storage, 'save')
    def _save(original, self, name, result, state=states.SUCCESS):
        original(self, name, result, state)
        if state == states.SUCCESS:
            self._failures[name].clear()

    @wrap(runtime.Runtime, 'retry_subflow')
    def _retry(original, self, retry):
        tweaked = original(self, retry)
        forget(self, [atom for atom, state, _ in tweaked if state == states.PENDING])
        return tweaked


def failures_by_intention():
    """A failure that arrives when reverting has been decided counts as one of revert."""
    @wrap(storage.Storage, 'save')
    def _save(original, self, name, result, state=states.SUCCESS):
        if state not in (states.FAILURE, states.REVERT_FAILURE):
            return original(self, name, result, state)
        cache = self._failures[name]
        before = dict(cache)
        original(self, name, result, state)
        cache.clear()
        cache.update(before)
        cache[states.EXECUTE if state == states.FAILURE else states.REVERT] = result


def kept_over_reset():
    """reset() keeps the histories of retries, and failures."""
    @wrap(runtime.Runtime, 'reset_all')
    def _reset(original, self, *args, **kwargs):
        tweaked = original(self, *args, **kwargs)
        forget(self, self.iterate_nodes(('task', 'retry')))
        for retry in self.iterate_nodes(('retry',)):
            self.storage.cleanup_retry_history(retry.name, states.PENDING)
        return tweaked


def overridden_reverts():
    """A RETRY, or a REVERT, decided after a REVERT_ALL overrides it."""
    @wrap(completer.RevertAll, 'apply')
    def _all(original, self):
        self._runtime.reverts_all = True
        return original(self)

    @wrap(runtime.Runtime, 'reset_all')
    def _reset(original, self, *args, **kwargs):
        self.reverts_all = False
        return original(self, *args, **kwargs)

    @wrap(completer.Revert, 'apply')
    def _revert(original, self):
        return [] if getattr(self._runtime, 'reverts_all', False) else original(self)

    @wrap(completer.RevertAndRetry, 'apply')
    def _retry(original, self):
        if getattr(self._runtime, 'reverts_all', False):
            return []
        stays = self._runtime.storage.get_atom_intention(self._retry.name) == states.REVERT
        tweaked = original(self)
        if stays:
            self._runtime.storage.set_atom_intention(self._retry.name, states.REVERT)
        return tweaked


def ignored_retries():
    """A failure under a retry that a decider ignored ends the run instead of going to the retry around it."""
    @wrap(completer.Completer, '_determine_resolution')
    def _determine(original, self, atom, failure):
        retry = self._runtime.find_retry(atom)
        if retry is not None and self._storage.get_atom_state(retry.name) == states.IGNORE:
            return self._determine_resolution(retry, failure)
        return original(self, atom, failure)


ALL = [stale_failures, failures_by_intention, kept_over_reset, overridden_reverts, ignored_retries]
NAMES = [quirk.__name__ for quirk in ALL]


def take_away(names):
    for quirk in ALL:
        if quirk.__name__ in names:
            quirk()
