"""A disk that fails under a node: syncs, writes and opens that the system refuses, through strace."""

import http.client
import os
import re
import signal
import subprocess

import harness
from harness import check, equal, wait_until
from harness.faults import Fault, command
from harness.node import Network, course

EX_NOPERM, EX_OSERR, EX_IOERR = 77, 71, 74


def store(node, suffix=""):
    return node.folder / "state" / f"enlight.db{suffix}"


def alone():
    return Network(["rug.nl", "ugent.be"]).start("rug.nl")["rug.nl"]


def pair(n):
    """A publisher and a reader, which has n events of it already, and these."""
    network = Network(["rug.nl", "ugent.be"]).start()
    events = [course("rug.nl") for _ in range(n)]
    if events:
        network["rug.nl"].publish(events)
        network["rug.nl"].wait_receipt("network", "ugent.be", n)
    return network["rug.nl"], network["ugent.be"], events


def quiet(node):
    """What it committed last is in the database: whatever it writes next is for what comes next."""
    wait_until(lambda: store(node).stat().st_mtime_ns > store(node, "-wal").stat().st_mtime_ns, "the WAL is moved")


def post_unanswered(node, event):
    """Publishes where the node ends before it answers."""
    try:
        answer = node.post(event)
    except (OSError, http.client.HTTPException):
        return
    raise harness.Failure(f"it was answered: {answer}")


def says(node, *words):
    """One line of the log has all these words."""
    lines = node.log.read_text(errors="replace").split("\n")
    check(any(all(str(word) in line for word in words) for line in lines), f"the log says {words}", node.tail())


def ids(node, **filters):
    return [event["id"] for event in node.events(**filters)]


def ends_for(node, file, word, cause="Input/output error"):
    """It has ended by itself, and the log names the file and what the system said."""
    equal(node.wait_end(), EX_IOERR, "exit status")
    says(node, f"cannot {word}", f"{file}", cause)


def not_tried_again(node, call):
    """After the call that failed there is no other of its kind."""
    calls = re.findall(rf"^\d+ +{call}\(.*$", (node.folder / "strace").read_text(), re.M)
    check(calls and "(INJECTED)" in calls[-1], f"{call} was not tried again", *calls[-5:])
    equal(sum("(INJECTED)" in text for text in calls), 1, f"{call}s that failed")


def test_publisher():
    """A publisher whose sync fails once ends, answers and sends nothing of that commit, and has all that it answered when it starts again"""
    rug, ugent, before = pair(5)
    quiet(rug)
    Fault(rug, "fdatasync:error=EIO:when=1", [store(rug, "-wal")])
    unanswered = course("rug.nl")
    post_unanswered(rug, unanswered)
    ends_for(rug, store(rug, "-wal"), "sync")
    not_tried_again(rug, "fdatasync")
    equal(ids(ugent, source="rug.nl"), [event["id"] for event in before], "what the reader has")
    rug.start()
    after = [unanswered, course("rug.nl")]
    rug.publish(after)
    ugent.wait_for("rug.nl", "network", 7)
    expected = [event["id"] for event in before + after]
    equal((ids(rug), ids(ugent, source="rug.nl")), (expected, expected), "every event once, in order, at both")


def test_reader():
    """A reader whose sync fails once ends and receipts nothing of that commit; started again it has and receipts all"""
    rug, ugent, _ = pair(1)
    quiet(ugent)
    Fault(ugent, "fdatasync:error=EIO:when=1", [store(ugent, "-wal")])
    rug.publish(course("rug.nl"))
    ends_for(ugent, store(ugent, "-wal"), "sync")
    equal([r["to"] for r in rug.channel("rug.nl", "network")["receipts"] if r["reader"] == "ugent.be"], [1], "receipts")
    ugent.start()
    rug.wait_receipt("network", "ugent.be", 2)
    equal(ids(ugent, source="rug.nl"), ids(rug, source="rug.nl"), "what the reader has")


def test_for_good():
    """A disk that syncs no more lets no node start, which says why; what was answered is there when it syncs again"""
    rug, ugent, events = pair(3)
    quiet(rug)
    Fault(rug, "fdatasync,fsync:error=EIO")
    post_unanswered(rug, course("rug.nl"))
    ends_for(rug, store(rug, "-wal"), "sync")
    for _ in range(2):
        status, text = start_under(rug, "fdatasync,fsync:error=EIO")
        equal(status, EX_IOERR, "exit status")
        check(f"cannot sync {store(rug)}: Input/output error" in text, "what it says", text)
    rug.start()
    equal(ids(rug)[:3], [event["id"] for event in events], "what was answered")
    ugent.wait_for("rug.nl", "network", rug.channel("rug.nl", "network")["last"])


def start_under(node, what, paths=()):
    """Starts a node that is to end by itself while calls fail; exit status and what it said."""
    # what LeakSanitizer does at the end does not work under a tracer
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([*command(node, what, paths), *node.command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env=environment, timeout=60)
    check(not re.search("Sanitizer|runtime error", done.stdout), "the sanitizers are silent", done.stdout)
    return done.returncode, done.stdout


def test_writes():
    """A write that fails in a commit ends the node unanswered; one that fails behind it, in the database, ends the node and loses nothing"""
    rug = alone()
    published = [course("rug.nl")]
    rug.publish(published)
    for call, word in (("pwrite64", "write"), ("fdatasync", "sync")):
        quiet(rug)
        Fault(rug, f"{call}:error=EIO:when=1", [store(rug, "-wal")])
        event = course("rug.nl")
        post_unanswered(rug, event)
        ends_for(rug, store(rug, "-wal"), word)
        rug.start()
        rug.publish(event)
        published.append(event)
        quiet(rug)
        Fault(rug, f"{call}:error=EIO:when=1", [store(rug)])
        published.append(course("rug.nl"))
        rug.publish(published[-1])  # the WAL is moved into the database when the node is idle
        ends_for(rug, store(rug), word)
        not_tried_again(rug, call)
        rug.start()
        equal(ids(rug, source="rug.nl"), [event["id"] for event in published], "what it has")


def test_full_for_a_while():
    """Writes that find the disk full are answered 507 and lose nothing; when there is room the node goes on as it was"""
    rug, ugent, first = pair(1)
    fault = Fault(rug, "pwrite64:error=ENOSPC", [store(rug), store(rug, "-wal")])
    second = course("rug.nl")
    for _ in range(3):
        equal(rug.post(second).status, 507, "publishing")
    equal(ids(rug), [first[0]["id"]], "reading goes on")
    equal(rug.get("/readyz").status, 503, "/readyz")
    ugent.publish(course("ugent.be"))
    check(fault.count >= 3, "writes failed", fault.count)
    fault.end()
    equal(rug.publish(second)[0]["sequence"], 2, "the sequence goes on")
    wait_until(lambda: rug.get("/readyz").status == 200, "ready again")
    ugent.wait_for("rug.nl", "network", 2)
    rug.wait_for("ugent.be", "network", 1)


def test_full_behind_the_commit():
    """While the WAL cannot be moved into a full database, the node commits into the WAL, and moves it when there is room"""
    rug = alone()
    fault = Fault(rug, "pwrite64:error=ENOSPC", [store(rug)])
    rug.publish([course("rug.nl") for _ in range(5)])
    wait_until(lambda: fault.count > 0, "the WAL was to be moved")
    rug.publish([course("rug.nl") for _ in range(5)])
    fault.end()
    says(rug, "cannot move the WAL into the database")
    rug.publish(course("rug.nl"))
    rug.stop()
    rug.start()
    equal(rug.count(), 11, "what it has")


# What cannot be opened, from which call on, the error and its words, the exit status.
OPENS = [
    ("enlight.db", "", "EACCES", "Permission denied", EX_NOPERM),
    ("enlight.db", "", "EMFILE", "Too many open files", EX_OSERR),
    ("enlight.db", "", "EIO", "Input/output error", EX_IOERR),
    ("enlight.db", ":when=2+", "EACCES", "Permission denied", EX_NOPERM),
    ("enlight.db", ":when=2+", "EMFILE", "Too many open files", EX_OSERR),
    ("enlight.db", ":when=2+", "EIO", "Input/output error", EX_IOERR),
    ("enlight.db", ":when=3+", "EMFILE", "Too many open files", EX_OSERR),  # the reader
    ("enlight.db-wal", "", "EMFILE", "Too many open files", EX_OSERR),
    ("enlight.db-wal", ":when=2+", "EMFILE", "Too many open files", EX_OSERR),
    ("enlight.db-wal", ":when=2+", "EIO", "Input/output error", EX_IOERR),
    ("enlight.db-shm", "", "EMFILE", "Too many open files", EX_OSERR),
    ("enlight.db.lock", "", "EMFILE", "Too many open files", EX_OSERR),
    ("enlight.db.lock", "", "EACCES", "Permission denied", EX_NOPERM),
    ("enlight.db.lock", "", "EIO", "Input/output error", EX_IOERR),
]


def test_opens():
    """A node that cannot open its files does not start, and says which and why, with the exit status that fits; nothing is harmed"""
    node = alone()
    events = [course("rug.nl") for _ in range(3)]
    node.publish(events)
    node.kill()
    for name, when, error, words, expected in OPENS:
        status, text = start_under(node, f"openat:error={error}{when}", [node.folder / "state" / name])
        said = [line for line in text.split("\n") if "cannot start" in line and "enlight.db" in line and words in line]
        check(status == expected and said, f"{name}{when} {error}: exit status {expected} and {words!r}", status, text)
    node.start()
    equal(ids(node), [event["id"] for event in events], "what it has")


def test_no_more_opens():
    """A running node that can open nothing more publishes and reads on, refuses to reload and says why"""
    rug, ugent, _ = pair(0)
    for error, words in (("EMFILE", "Too many open files"), ("EACCES", "Permission denied"), ("EIO", "Input/output error")):
        fault = Fault(rug, f"openat:error={error}")
        rug.publish(course("rug.nl"))
        rug.process.send_signal(signal.SIGHUP)
        wait_until(lambda: fault.count > 0, "something was to be opened")
        rug.publish(course("rug.nl"))
        fault.end()
        wait_until(lambda: words in rug.log.read_text(), f"the log says {words}")
        check(rug.process.poll() is None, "it runs on", rug.tail())
    fault = Fault(rug, "accept,accept4:error=EMFILE:when=1..5")
    rug.publish(course("rug.nl"))
    equal(fault.count, 5, "connections that could not be accepted at first")
    fault.end()
    ugent.wait_for("rug.nl", "network", 7)
    equal(rug.count(), 7, "what it has")


if __name__ == "__main__":
    harness.main()
