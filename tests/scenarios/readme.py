"""The README's walk through two nodes works as it is written."""

import os
import re
import signal

import harness
from harness import check
from harness.node import free_port

PORTS = ("4701", "4702")


def blocks():
    """The shell blocks of the section, without the build: that is done."""
    text = (harness.ROOT / "README.md").read_text()
    section = text[text.index("## Two nodes by hand"):]
    section = section[:section.index("\n## ")] if "\n## " in section else section
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
    check(found[0].startswith("meson setup"), "the walk begins with the build", found[0])
    return found[1:]


def end(folder):
    """What the walk started and did not stop, because it failed before."""
    for file in folder.glob("two/*/pid"):
        try:
            os.kill(int(file.read_text()), signal.SIGKILL)
        except (ProcessLookupError, ValueError):
            pass


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@harness.limit(120)
def test_two_nodes_by_hand():
    """The commands of the README, run as they stand there, take an event from one university to the other"""
    folder = harness.folder("readme")
    harness.at_exit(end, folder)
    (folder / "build").mkdir()
    (folder / "build/node").symlink_to(harness.BUILD / "node")
    script = "\n".join(blocks())
    for port in PORTS:
        check(f"tcp://127.0.0.1:{port}" in script, f"port {port} is used", script)
        script = script.replace(f":{port}", f":{free_port()}")
    done = harness.run(["bash", "-e", "-c", script], cwd=folder, seconds=100)
    check("course/CR/1001" in done.stdout, "Ghent sees the course", done.stdout, done.stderr)
    check(re.search(r"ut\.ee +ugent\.be .* ugent\.be 1$", done.stdout, re.M), "Tartu has the receipt", done.stdout, done.stderr)
    for file in folder.glob("two/*/pid"):
        harness.wait_until(lambda: gone(int(file.read_text())), f"{file.parent.name} has ended")


if __name__ == "__main__":
    harness.main()
