"""The Python part of the mixed flow (flows/mixed.lua): served by TaskFlow's own worker."""

from taskflow import task


class Split(task.Task):
    default_provides = 'words'

    def execute(self, text):
        return text.lower().split()


class Report(task.Task):
    default_provides = 'report'

    def execute(self, counts):
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return ', '.join('%s %d' % item for item in ranked)
