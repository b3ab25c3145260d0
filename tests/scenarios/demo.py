"""What deploy/demo does besides the network itself, which the demonstration checks by itself."""

import os
import shutil
import signal
import subprocess

import harness
from harness import check, equal

DEMO = harness.ROOT / "deploy/demo.py"


def place():
    """A tree of its own with the programs that are built, so that a demo of somebody who runs these tests stays untouched."""
    top = harness.folder("demo")
    (top / "build").mkdir()
    (top / "build/node").symlink_to(harness.PLAIN_BUILD / "node")
    (top / "deploy").mkdir()
    shutil.copy(DEMO, top / "deploy")
    shutil.copytree(harness.ROOT / "deploy/demo-events", top / "deploy/demo-events")
    return top


def start(top):
    process = subprocess.Popen(["/usr/bin/python3", top / "deploy/demo.py"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, cwd=top)
    harness.at_exit(process.stdout.close)
    harness.at_exit(process.wait)
    harness.at_exit(process.terminate)
    said = []
    for line in process.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            return process, "".join(said)
    raise harness.Failure("the demo ended:\n" + "".join(said))


def test_one_at_a_time():
    """A second demo refuses to start and names the first, which goes on; after it another one can start"""
    top = place()
    process, _ = start(top)
    roster = (top / "build/demo/roster.note").read_text()
    for words in ([], ["--check"]):
        said = harness.run(["/usr/bin/python3", top / "deploy/demo.py", *words], expect=1).stderr
        check(f"a demo is running (pid {process.pid})" in said, "what the second says", said)
    equal((top / "build/demo/roster.note").read_text(), roster, "the first one's files")
    process.terminate()
    equal(process.wait(60), 0, "exit status of the first")
    start(top)


def test_what_to_try():
    """What the demo suggests works as it stands there, and shows something new"""
    top = place()
    _, said = start(top)
    lines = [line.strip() for line in said.splitlines() if line.startswith("  build/") or line.startswith("  curl ")]
    check(len(lines) >= 5, "suggestions", said)
    shell = lambda line: harness.run(["bash", "-c", line], cwd=top)
    for line in lines:
        if " tail " in line:
            tail = line.split("#")[0]
            equal(len(shell(f"{tail} --limit 14").stdout.splitlines()), 14, "what Ghent holds")
        else:
            done = shell(line)
            check("publish" not in line or "1 published, 0 unchanged, 0 published before" in done.stderr, line, done.stderr)


def test_nodes_left():
    """Nodes that a killed demo left behind keep their folder, and are named"""
    top = place()
    process, _ = start(top)
    pids = (top / "build/demo/pids").read_text().split()
    for pid in pids:
        harness.at_exit(lambda pid=pid: os.kill(int(pid), signal.SIGKILL))
    process.kill()
    process.wait()
    said = harness.run(["/usr/bin/python3", top / "deploy/demo.py", "--check"], expect=1).stderr
    check("kill " + " ".join(pids) in said, "what it says of them", said)


def test_usage():
    """--help explains and ends with 0, an unknown word with 64"""
    check("--check" in harness.run([harness.ROOT / "deploy/demo", "--help"]).stdout, "the help")
    check("--check" in harness.run([harness.ROOT / "deploy/demo", "--chekc"], expect=64).stderr, "the usage")


if __name__ == "__main__":
    harness.main()
