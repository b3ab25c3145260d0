"""The plugin author's guide works as it is written: plugins/README.md, run block by block."""

import importlib
import os
import pathlib
import re
import signal
import stat
import subprocess

import harness
from harness import check, equal
from harness import peer

GUIDE = harness.ROOT / "plugins/README.md"


def block(heading):
    """The shell block below a heading."""
    text = GUIDE.read_text()
    check(f"\n{heading}\n" in text, f"the guide has the section {heading}")
    section = text[text.index(f"\n{heading}\n"):]
    return re.search(r"^```sh\n(.*?)^```$", section, re.M | re.S).group(1)


def blocks_of_first_part():
    """What comes before the node: the build (done already), the plugin, its test."""
    text = GUIDE.read_text()
    found = re.findall(r"^```sh\n(.*?)^```$", text[:text.index("\n### Give it to a node\n")], re.M | re.S)
    equal(len(found), 3, "blocks before the node")
    check(found[0].startswith("meson setup"), "the guide begins with the build", found[0])
    return found[1:]


def installed():
    """Installs the plain build below a folder; returns the folder, and the environment in which that is where it belongs."""
    tree = harness.folder("guide")
    harness.run(["meson", "install", "-C", harness.PLAIN_BUILD, "--no-rebuild", "--destdir", tree])
    packages = sorted(tree.rglob("enlight-plugin*.pc"))
    equal(len(packages), 2, "files for pkg-config")
    for package in packages:
        text = package.read_text()
        prefix = re.search(r"^prefix=(.*)$", text, re.M).group(1)
        package.write_text(text.replace(f"prefix={prefix}", f"prefix={tree}{prefix}", 1))
    programs = [str(path) for path in (tree / prefix.lstrip("/") / "bin", tree / prefix.lstrip("/") / "sbin")]
    return tree, {**os.environ, "PKG_CONFIG_PATH": str(packages[0].parent), "CFLAGS": "",
                  "PATH": os.pathsep.join(programs + [os.environ["PATH"]])}


def shell(script, folder, environment, seconds=60):
    return harness.run(["bash", "-e", "-c", script], cwd=folder, env=environment, seconds=seconds)


def test_first_plugin():
    """The guide's plugin compiles against what is installed, explains itself, and handles an event of the fake node"""
    tree, environment = installed()
    done = shell("\n".join(blocks_of_first_part()), tree, environment)
    check("courses: takes events (course.offering)" in done.stdout, "--help says what it is", done.stdout)
    check("outcome 1" in done.stdout, "the event is done", done.stdout)
    check("ut.ee offers CR/1001: Machine Learning" in done.stdout, "its effect is there", done.stdout)
    check("warning" not in done.stderr, "it compiles without a warning", done.stderr)


def test_strict_compilers():
    """The installed headers and the example compile in C11 and C17, by gcc and clang, without a warning"""
    tree, environment = installed()
    for compiler in ("gcc", "clang"):
        for standard in ("c11", "c17"):
            shell(f"{compiler} -std={standard} -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror -o example "
                  f"{harness.ROOT}/plugins/example/plugin.c $(pkg-config --cflags --libs enlight-plugin)", tree, environment)


def plugin_messages():
    peer.messages()
    return importlib.import_module("enlight.plugin.v1.plugin_pb2")


def frame(**field):
    data = plugin_messages().ToPlugin(**field).SerializeToString()
    rest, head = len(data), b""
    while rest > 127:
        rest, head = rest >> 7, head + bytes([rest & 127 | 128])
    return head + bytes([rest]) + data


def frames_in(data):
    found = []
    while data:
        length = shift = at = 0
        while True:
            byte = data[at]
            length |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
        found.append(plugin_messages().FromPlugin.FromString(data[at:at + length]))
        data = data[at + length:]
    return found


def converse(program, environment, state, *frames):
    """Says all the frames to a plugin, and returns what it answered until it ended."""
    done = subprocess.run([program], input=b"".join(frames), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=state,
                          env=environment, timeout=30)
    equal(done.returncode, 0, f"exit status: {done.stderr.decode(errors='replace')}")
    return frames_in(done.stdout)


def test_python():
    """The guide's plugin in Python speaks the protocol: ready, done, and an end when it is asked to"""
    tree, environment = installed()
    shell(block("## In another language"), tree, environment)
    plugin = plugin_messages()
    event = peer.course_event("CR/1001")
    start = plugin.Start(protocol=1, member="ugent.be", name="courses", state=str(tree), beat_ms=60000)
    deliver = plugin.Deliver(number=7, source="ut.ee", audience="network", incarnation=1, sequence=3, event=event,
                             digest=bytes(32), attempt=1, settled=3)
    erase = plugin.Erase(number=8, source="ut.ee", audience="network", sequences=[3])
    check((tree / "courses.py").stat().st_mode & stat.S_IXUSR, "it can be executed")
    said = converse(tree / "courses.py", environment, tree, frame(start=start), frame(deliver=deliver), frame(erase=erase),
                    frame(drain=plugin.Drain()))
    equal([one.ListFields()[0][0].name for one in said],
          ["ready", "result", "result"], "frames")
    equal((said[1].result.number, said[1].result.outcome), (7, "done"), "result of the event")
    equal((tree / "courses.txt").read_text(), "ut.ee offers CR/1001\n", "its effect")


def end(file):
    """What the guide started and did not stop, because it failed before."""
    try:
        os.kill(int(file.read_text()), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        pass


def gone(pid):
    return not pathlib.Path(f"/proc/{pid}").exists()


@harness.limit(120)
def test_in_a_node():
    """The guide's plugin, named in enlight.yaml, is given an event that was published, and the node shows how far it is"""
    tree, environment = installed()
    pid = tree / "courses/ut.ee/pid"
    harness.at_exit(end, pid)
    shell(blocks_of_first_part()[0], tree, environment)
    done = shell(block("### Give it to a node"), tree / "courses", environment, seconds=100)
    check("ut.ee offers CR/1001: Machine Learning" in done.stdout, "the event has its effect", done.stdout, done.stderr)
    harness.wait_until(lambda: gone(int(pid.read_text())), "the node has ended")


if __name__ == "__main__":
    harness.main()
