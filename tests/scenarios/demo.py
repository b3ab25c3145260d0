"""What deploy/demo does besides the network itself, which the demonstration checks by itself."""

import os
import shutil
import signal
import subprocess

import harness
from harness import check, equal

DEMO = harness.ROOT / "deploy/demo.py"
EXAMPLE = "Machine Learning"  # what Tartu publishes when it is tried; it has another of that name


def place():
    """A tree of its own with the programs that are built, so that a demo of somebody who runs these tests stays untouched."""
    top = harness.folder("demo")
    (top / "build").mkdir()
    for programs in ("node", "plugins"):
        (top / "build" / programs).symlink_to(harness.PLAIN_BUILD / programs)
    (top / "deploy").mkdir()
    for file in (DEMO, DEMO.with_name("demo_registrars.py")):
        shutil.copy(file, top / "deploy")
    for files in ("demo-events", "demo-documents"):
        shutil.copytree(DEMO.with_name(files), top / "deploy" / files)
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
    lines = [line.strip() for line in said.splitlines() if line.startswith(("  build/", "  curl ", "  /usr/bin/python3 "))]
    check(len(lines) >= 7, "suggestions", said)
    shell = lambda line: harness.run(["bash", "-c", line], cwd=top)
    for line in lines:
        if " tail " in line:
            tail = line.split("#")[0]
            equal(len(shell(f"{tail} --limit 14").stdout.splitlines()), 14, "what Ghent holds")
        elif "registrar.db" in line:
            harness.wait_until(lambda: shell(line).stdout.count(EXAMPLE) == 2, "the course is in Ghent's database")
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


def test_wrong_rows_are_found():
    """--check ends with 1 when a registrar's database has something else than the documents say, and names the row"""
    top = place()
    registrars = top / "deploy/demo_registrars.py"
    text = registrars.read_text()
    old = '"genders": {"FEMALE": "V", "MALE": "M"}'
    check(old in text, "Ghent has codes of its own")
    mapped = '{gender}: {{from: data.student.gender, values: {{{gender_values}}}, otherwise: "{otherwise}"}}'
    check(mapped in text, "the mapping translates them")
    registrars.write_text(text.replace(mapped, '{gender}: {{from: data.student.gender, values: {{MALE: M}}, otherwise: "{otherwise}"}}'))
    said = harness.run(["/usr/bin/python3", top / "deploy/demo.py", "--check"], expect=1).stderr
    check("has no such row" in said, "what it says", said)


def test_documents_are_good_by_the_official_schemas():
    """The demonstration's documents are good by the official schemas, and events carry all that they say"""
    schemas = harness.standards() / "ewp" / "schemas"
    documents = sorted(DEMO.with_name("demo-documents").glob("*/*.xml"))
    equal(len(documents), 18, "documents")
    for path in documents:
        audience = ["--audience", "network"] if path.stem == "courses" else []
        done = harness.run([harness.BUILD / "plugins/ewp/enlight-ewp", "convert", "--member", path.parent.name, *audience,
                            "--schemas", schemas, path])
        equal(done.stderr, "", str(path))


def test_usage():
    """--help explains and ends with 0, an unknown word with 64"""
    check("--check" in harness.run([harness.ROOT / "deploy/demo", "--help"]).stdout, "the help")
    check("--check" in harness.run([harness.ROOT / "deploy/demo", "--chekc"], expect=64).stderr, "the usage")


if __name__ == "__main__":
    harness.main()
