"""faults - system calls of a node that fail, through strace.

`what` is strace's own: "fdatasync:error=EIO:when=1". Only calls on files of `paths` fail, where some are named."""

import pathlib
import signal
import subprocess

import harness


def command(node, what, paths=(), log=None):
    """strace, up to where the program or -p stands. What it saw goes to `node.folder/strace`."""
    files = [word for path in paths for word in ("-P", str(path))]
    return ["strace", "-f", "-qq", "-o", str(log or node.folder / "strace"), *files, "-e", f"inject={what}"]


def traced(pid):
    """Whether every thread of a process has a tracer."""
    states = [path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/status")]
    return states and all("TracerPid:\t0\n" not in state for state in states)


class Fault:
    """Makes calls of a running node fail, until end()."""

    def __init__(self, node, what, paths=()):
        self.log = node.folder / "strace"
        self.strace = subprocess.Popen([*command(node, what, paths, self.log), "-p", str(node.process.pid)],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.at_exit(self.end)
        harness.wait_until(lambda: traced(node.process.pid), "strace is attached")

    def end(self):
        """What is traced goes on without a fault; nothing when it has ended."""
        if self.strace.poll() is None:
            self.strace.send_signal(signal.SIGINT)
        self.strace.wait()

    @property
    def count(self):
        """How many calls have failed."""
        return self.log.read_text().count("(INJECTED)")
