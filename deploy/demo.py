"""The demonstration behind deploy/demo: nine universities, each with its own node, on one machine.

Everything goes the way it would between nine campuses: keys and cards are made with the `enlight` command, five of nine sign the
roster, the links are CURVE over TCP, events are posted to the local API and read from it.
"""

import collections
import fcntl
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
EVENTS = TOP / "deploy/demo-events"
HOME = BUILD / "demo"
QUORUM = 5
PATIENCE_SECONDS = 60

MEMBERS = {
    "ehu.eus": ("ES", "Euskal Herriko Unibertsitatea"),
    "rug.nl": ("NL", "Rijksuniversiteit Groningen"),
    "u-bordeaux.fr": ("FR", "Université de Bordeaux"),
    "ugent.be": ("BE", "Universiteit Gent"),
    "uni-goettingen.de": ("DE", "Georg-August-Universität Göttingen"),
    "uniba.sk": ("SK", "Univerzita Komenského v Bratislave"),
    "universityofgalway.ie": ("IE", "Ollscoil na Gaillimhe"),
    "ut.ee": ("EE", "Tartu Ülikool"),
    "uu.se": ("SE", "Uppsala universitet"),
}
SHORT = {"ehu.eus": "Basque C.", "rug.nl": "Groningen", "u-bordeaux.fr": "Bordeaux", "ugent.be": "Ghent",
         "uni-goettingen.de": "Göttingen", "uniba.sk": "Bratislava", "universityofgalway.ie": "Galway", "ut.ee": "Tartu",
         "uu.se": "Uppsala"}
OUTSIDER, TELLER, LISTENER = "u-bordeaux.fr", "ut.ee", "ugent.be"


class Failed(Exception):
    """What went wrong, for a person to read."""


def say(text):
    print(text, flush=True)


def enlight(*words, **options):
    done = subprocess.run([BUILD / "node/enlight", *map(str, words)], capture_output=True, text=True, cwd=HOME, **options)
    if done.returncode != 0:
        raise Failed(f"enlight {' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Local(http.client.HTTPConnection):
    """HTTP over a node's Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Node:
    def __init__(self, member, port, health_port):
        self.member, self.port, self.health_port = member, port, health_port
        self.folder = HOME / member
        self.config = self.folder / "enlight.yaml"
        self.log = self.folder / "log"
        self.process = None

    def prepare(self):
        country, name = MEMBERS[self.member]
        address = f"tcp://127.0.0.1:{self.port}"
        enlight("init", "--quiet", "--member", self.member, "--country", country, "--name", name, "--endpoint", address, "--listen",
                address, "--loopback", f"127.0.0.1:{self.health_port}", self.folder)

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([BUILD / "node/enlightd", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)

    def get(self, path, **query):
        query = {name: value for name, value in query.items() if value is not None}
        connection = Local(self.folder / "api.sock")
        try:
            connection.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def must_get(self, path, **query):
        status, answer = self.get(path, **query)
        if status != 200:
            raise Failed(f"{self.member}: GET {path} was answered {status}: {answer}")
        return answer

    def channels(self):
        return {(c["publisher"], c["audience"]): c for c in self.must_get("/v1/channels")["channels"]}

    def events(self, source):
        """Every event of one publisher that this node holds, with its data, in the order of the node's own log."""
        events, after = [], None
        while True:
            page = self.must_get("/v1/events", source=source, data="true", limit=200, after=after)
            events += page["events"]
            if page["next"] in (None, after) or not page["events"]:
                return events
            after = page["next"]

    def is_ready(self, peers):
        if self.process.poll() is not None:
            raise Failed(f"{self.member}: the node ended with {self.process.returncode}:\n{self.tail()}")
        try:
            status, _ = self.get("/readyz")
            return status == 200 and sum(p["state"] == "live" for p in self.must_get("/v1/peers")["peers"]) == peers
        except (ConnectionError, FileNotFoundError):
            return False

    def tail(self):
        return "".join(self.log.read_text(errors="replace").splitlines(True)[-15:])

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def join(self):
        if self.process is None:
            return 0
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -signal.SIGKILL


def free_ports(n):
    """Ports that are free now, all at once."""
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(what, condition):
    """Polls until the condition holds; says what it waits for when that takes long."""
    began = said = time.monotonic()
    while not condition():
        now = time.monotonic()
        if now - began > PATIENCE_SECONDS:
            raise Failed(f"waited {PATIENCE_SECONDS} s for {what}")
        if now - said > 2:
            say(f"    still waiting for {what}")
            said = now
        time.sleep(0.05)


def is_node(pid):
    """Whether this process is a node of the folder, and not another that has got its number since."""
    try:
        return str(HOME).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def nodes_left():
    """Nodes that a demo which was killed left behind."""
    try:
        return [pid for pid in (HOME / "pids").read_text().split() if is_node(pid)]
    except FileNotFoundError:
        return []


def be_the_only_one():
    """There is one folder, so there is one demo. The lock ends with the process, however that ends; whoever calls keeps what it gets."""
    BUILD.mkdir(exist_ok=True)
    lock = open(BUILD / "demo.lock", "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise Failed(f"a demo is running (pid {lock.read().strip()})")
    left = nodes_left()
    if left:
        raise Failed(f"nodes of an earlier demo are running: kill {' '.join(left)}")
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def make_network():
    """Keys, roster, cards and configurations, the way nine universities would make them."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    ports = free_ports(2 * len(MEMBERS))
    nodes = {m: Node(m, ports[2 * i], ports[2 * i + 1]) for i, m in enumerate(MEMBERS)}
    for node in nodes.values():
        node.prepare()
    enlight("roster", "new", "--network", "enlight-demo", "--output", "draft.note",
            *(f"{m}/{m}.member" for m in MEMBERS))
    signers = list(MEMBERS)[:QUORUM]
    for member in signers:
        enlight("roster", "sign", "--identity", f"{member}/identity.key", "--output", f"{member}.signed", "draft.note")
    enlight("roster", "merge", "--output", "roster.note", *(f"{m}.signed" for m in signers))
    for member in MEMBERS:
        enlight("roster", "adopt", "roster.note", member)
        enlight("card", "new", member)
    for member in MEMBERS:
        for other in MEMBERS:
            if other != member:
                shutil.copy(HOME / other / "cards" / f"{other}.card", HOME / member / "cards")
    return nodes


def files():
    """What is to be published, by publisher, as the files say it."""
    events = {m: json.loads((EVENTS / f"{m}.json").read_text()) for m in MEMBERS}
    for member in events:
        for event in events[member]:
            event["readers"] = ([m for m in MEMBERS if m != member] if event["enlightaudience"] == "network"
                                else event["enlightaudience"].split(","))
    return events


def publish(nodes, events):
    for member, node in nodes.items():
        enlight("--config", node.config, "--quiet", "publish", EVENTS / f"{member}.json")
    wanted = {m: collections.Counter(e["enlightaudience"] for e in events[m]) for m in events}

    def acknowledged():
        for member, node in nodes.items():
            channels = node.channels()
            for audience, n in wanted[member].items():
                channel = channels.get((member, audience))
                readers = len(MEMBERS) - 1 if audience == "network" else audience.count(",") + 1
                if channel is None or channel["last"] != n or sum(r["to"] == n for r in channel["receipts"]) != readers:
                    return False
        return True

    wait_for("receipts of every reader", acknowledged)


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def show(nodes):
    held = {m: node.channels() for m, node in nodes.items()}
    say("\nEvents held, by publisher (down) and reader (across); * the publisher's own log")
    rows = [["", *(SHORT[m] for m in MEMBERS)]]
    for publisher in MEMBERS:
        row = [SHORT[publisher]]
        for reader in MEMBERS:
            n = sum(c["events"] for (p, _), c in held[reader].items() if p == publisher)
            row.append(f"{n}*" if reader == publisher else str(n) if n else ".")
        rows.append(row)
    table(rows)
    say("\nChannels, with their heads and the receipts that the publisher holds")
    rows = [["publisher", "audience", "events", "head", "receipts"]]
    for publisher in MEMBERS:
        for (p, audience), c in sorted(held[publisher].items()):
            if p == publisher:
                readers = len(MEMBERS) - 1 if audience == "network" else audience.count(",") + 1
                full = sum(r["to"] == c["last"] for r in c["receipts"])
                rows.append([SHORT[p], ", ".join(SHORT.get(a, a) for a in audience.split(",")), str(c["events"]),
                             c["digest"][:12], f"{full} of {readers}"])
    table(rows)


def secrets_of(events):
    """Texts that only the teller and the listener may know."""
    for event in events[TELLER]:
        if event["enlightaudience"] == LISTENER:
            yield event["id"].encode()
            yield event["subject"].encode()
            for name in event["data"].get("student", {}).get("names", []):
                yield name["family"].encode()
                yield event["data"]["student"]["esi"].encode()


def check_outsider(nodes, events):
    """The outsider holds nothing of what the teller told the listener, and its node has no answer about it."""
    node = nodes[OUTSIDER]
    told = [e for e in events[TELLER] if e["enlightaudience"] == LISTENER]
    if not told:
        raise Failed(f"{TELLER} tells {LISTENER} nothing")
    if any(p == TELLER and a != "network" for p, a in node.channels()):
        raise Failed(f"{OUTSIDER} holds a channel that is not for it")
    for event in told:
        path = "/v1/events/" + TELLER + "/" + event["id"]
        if node.get(path)[0] != 404 or nodes[LISTENER].get(path)[0] != 200:
            raise Failed(f"GET {path}: {OUTSIDER} must answer 404 and {LISTENER} 200")
    stored = b"".join(p.read_bytes() for p in (HOME / OUTSIDER).rglob("*") if p.is_file() and "state" in str(p.parent))
    for secret in secrets_of(events):
        if secret in stored:
            raise Failed(f"the disk of {OUTSIDER} has what {TELLER} told {LISTENER}")
    say(f"\n{SHORT[TELLER]} told {SHORT[LISTENER]} {len(told)} things: {SHORT[LISTENER]} has them; {SHORT[OUTSIDER]} holds no byte of "
        "that channel,\nits node answers 404 to each, and its disk knows neither id nor name.")


def check_copies(nodes, events):
    """Every event of the files is at its publisher and at every reader of its audience, once, in order, with the same data; nothing else is anywhere."""
    n = 0
    for reader, node in nodes.items():
        for publisher in MEMBERS:
            wanted = [e for e in events[publisher] if reader == publisher or reader in e["readers"]]
            found = node.events(publisher)
            for audience in {e["enlightaudience"] for e in wanted + found}:
                ours = [e for e in found if e["enlightaudience"] == audience]
                theirs = [e for e in wanted if e["enlightaudience"] == audience]
                if [e["id"] for e in ours] != [e["id"] for e in theirs]:
                    raise Failed(f"{reader} does not hold the events of {publisher} for {audience} once and in order")
                for i, (a, b) in enumerate(zip(ours, theirs)):
                    for name in ("source", "type", "subject", "time", "data"):
                        if a[name] != b[name]:
                            raise Failed(f"{reader}, event {b['id']} of {publisher}: {name} is not what the file says")
                    if a["sequence"] != i + 1 or a["state"] != "accepted":
                        raise Failed(f"{reader}, event {b['id']}: sequence {a['sequence']}, state {a['state']}")
                    n += 1
    say(f"\nChecked {n} copies of {sum(map(len, events.values()))} events through the interfaces of all nine, against the files: all there, once, "
        "in order, nothing else.")


def what_to_try(nodes):
    ghent, tartu = nodes["ugent.be"], nodes["ut.ee"]
    program = os.path.relpath(BUILD / "node/enlight")
    at_ghent = f"{program} --config {os.path.relpath(ghent.config)}"
    at_tartu = f"{program} --config {os.path.relpath(tartu.config)}"
    say(f"""
The network is up. Try, in another terminal:
  {at_ghent} status
  {at_ghent} peers
  {at_ghent} tail --after 0.0     # all that Ghent holds, then what comes
  {at_tartu} topics course.offering --example | {at_tartu} publish
  {at_tartu} channels     # who has signed for it
  {program} topics mobility.nomination
  curl http://127.0.0.1:{ghent.health_port}/metrics
Logs: {os.path.relpath(HOME)}/MEMBER/log. Ctrl-C stops all nodes.""")


def run(check):
    began = time.monotonic()
    lock = be_the_only_one()  # until this process ends
    say("Making keys, cards, configurations and a roster signed by five of nine")
    nodes = make_network()
    events = files()
    try:
        say("Starting nine nodes")
        for node in nodes.values():
            node.start()
        (HOME / "pids").write_text("".join(f"{n.process.pid}\n" for n in nodes.values()))
        wait_for("nine nodes to be ready and linked to each other",
                 lambda: all(node.is_ready(len(MEMBERS) - 1) for node in nodes.values()))
        say(f"Publishing {sum(map(len, events.values()))} events")
        publish(nodes, events)
        show(nodes)
        check_outsider(nodes, events)
        if check:
            check_copies(nodes, events)
        else:
            what_to_try(nodes)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
            say("\nStopping")
    finally:
        for node in nodes.values():
            node.stop()
        statuses = {m: node.join() for m, node in nodes.items()}
    bad = [f"{m} ({status})" for m, status in statuses.items() if status != 0]
    if bad:
        raise Failed("ended badly: " + ", ".join(bad))
    lock.close()
    if check:
        say(f"Done in {time.monotonic() - began:.1f} s; nine nodes stopped.")


def main():
    check = "--check" in sys.argv[1:]
    if not check:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        run(check)
    except Failed as failure:
        print(f"\ndemo: failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
