"""The demonstration behind deploy/demo: nine universities, each with its own node and its own registrar, on one machine.

Everything goes the way it would between nine campuses: keys and cards are made with the `enlight` command, five of nine sign the
roster, the links are CURVE over TCP. Courses and nominations are documents of Erasmus Without Paper (`demo-documents`), which `enlight-ewp`
makes into events; all else is posted as CloudEvents (`demo-events`). At each node `enlight-sql` puts what comes into the registrar's
database (`demo_registrars.py`).
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

import demo_registrars

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
EVENTS = TOP / "deploy/demo-events"
DOCUMENTS = TOP / "deploy/demo-documents"
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


def run_program(program, *words, **options):
    done = subprocess.run([BUILD / program, *map(str, words)], capture_output=True, text=True, cwd=HOME, **options)
    if done.returncode != 0:
        raise Failed(f"{program} {' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def enlight(*words, **options):
    return run_program("node/enlight", *words, **options)


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
        try:
            demo_registrars.make(self.member, self.folder)
        except FileNotFoundError as missing:
            raise Failed(missing)
        run_program("plugins/sql/enlight-sql", "--check", self.folder / "registrar.yaml")
        with open(self.config, "a") as config:
            config.write(f"\nplugins:\n  - name: registrar\n    command: [{json.dumps(str(BUILD / 'plugins/sql/enlight-sql'))}]\n"
                         "    topics: [course.*, mobility.*]\n    settings: {mapping: registrar.yaml}\n")

    def publish_document(self, file):
        """enlight-ewp convert ... | enlight publish"""
        events = run_program("plugins/ewp/enlight-ewp", "convert", "--member", self.member,
                             *(["--audience", "network"] if file.stem == "courses" else []), file)
        enlight("--config", self.config, "--quiet", "publish", input=events)

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

    def plugin(self):
        return self.must_get("/v1/plugins")["plugins"][0]

    def is_ready(self, peers):
        if self.process.poll() is not None:
            raise Failed(f"{self.member}: the node ended with {self.process.returncode}:\n{self.tail()}")
        try:
            status, _ = self.get("/readyz")
            return (status == 200 and sum(p["state"] == "live" for p in self.must_get("/v1/peers")["peers"]) == peers
                    and self.plugin()["state"] == "ready")
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


def is_ours(pid, what):
    """Whether this process has that in its command line, and is not another that has got its number since."""
    try:
        return str(what).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def nodes_left():
    """Nodes that a demo which was killed left behind."""
    try:
        return [pid for pid in (HOME / "pids").read_text().split() if is_ours(pid, HOME)]
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


def documents():
    """(publisher, its document of courses, of nominations) of all."""
    return [(m, DOCUMENTS / m / "courses.xml", DOCUMENTS / m / "nominations.xml") for m in MEMBERS]


def files():
    """What is to be published, by publisher, in the order it will be. What comes from a document has neither id nor data here: the
    node makes the one, enlight-ewp the other, and the registrars' rows tell whether it is right."""
    events = {}
    for member, courses, nominations in documents():
        events[member] = [{"type": "eu.enlight.course.offering.v1", "subject": f"course/{course}", "enlightaudience": "network"}
                          for course in demo_registrars.course_ids(courses)]
        events[member] += [{"type": "eu.enlight.mobility.nomination.v1", "subject": f"mobility/{mobility}",
                            "enlightaudience": receiver, "secrets": secrets}
                           for mobility, receiver, secrets in demo_registrars.nomination_ids(nominations)]
        if (EVENTS / f"{member}.json").exists():
            events[member] += json.loads((EVENTS / f"{member}.json").read_text())
        for event in events[member]:
            event["readers"] = ([m for m in MEMBERS if m != member] if event["enlightaudience"] == "network"
                                else event["enlightaudience"].split(","))
    return events


def publish(nodes, events):
    for member, courses, nominations in documents():
        for document in (courses, nominations):
            nodes[member].publish_document(document)
        if (EVENTS / f"{member}.json").exists():
            enlight("--config", nodes[member].config, "--quiet", "publish", EVENTS / f"{member}.json")
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
    for member, node in nodes.items():
        ids = {(e["type"], e["subject"]): e["id"] for e in node.events(member)}
        for event in events[member]:
            event.setdefault("id", ids[event["type"], event["subject"]])

    def all_done():
        for member, node in nodes.items():
            plugin = node.plugin()
            if plugin["dead"]:
                raise Failed(f"{member}: the registrar's database refused an event:\n"
                             + enlight("--config", node.config, "dead"))
            if plugin["done"] < sum(member in e["readers"] and e["type"].split(".")[2] in ("course", "mobility")
                                    for theirs in events.values() for e in theirs):
                return False
        return True

    wait_for("nine registrars to have it", all_done)


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


def show_registrars(nodes):
    say("\nRows in the registrars' databases, put there by enlight-sql")
    rows = [["", "courses", "runs", "incoming students", "tables"]]
    for member, node in nodes.items():
        found = demo_registrars.read(node.folder / "registrar.db")
        rows.append([SHORT[member], *(str(len(r)) for r in found.values()), ", ".join(found)])
    table(rows)


def secrets_of(events):
    """Texts that only the teller and the listener may know."""
    for event in events[TELLER]:
        if event["enlightaudience"] == LISTENER:
            student = event.get("data", {}).get("student", {})
            texts = [name["family"] for name in student.get("names", [])] + [student.get("esi")] + event.get("secrets", [])
            yield from (text.encode() for text in [event["id"], event["subject"], *texts] if text)


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
    stored = b"".join(p.read_bytes() for p in (HOME / OUTSIDER).rglob("*")
                      if p.is_file() and ("state" in str(p.parent) or p.name.startswith("registrar.db")))
    for secret in secrets_of(events):
        if secret in stored:
            raise Failed(f"the disk of {OUTSIDER} has what {TELLER} told {LISTENER}")
    say(f"\n{SHORT[TELLER]} told {SHORT[LISTENER]} {len(told)} things: {SHORT[LISTENER]} has them; {SHORT[OUTSIDER]} holds no byte of "
        "that channel,\nits node answers 404 to each, and its disk knows neither id nor name.")


def check_copies(nodes, events):
    """Every event of the files is at its publisher and at every reader of its audience, once, in order, with the same data; nothing else is anywhere."""
    n = 0
    held = {publisher: {e["id"]: e for e in nodes[publisher].events(publisher)} for publisher in MEMBERS}
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
                        if a[name] != b.get(name, held[publisher][b["id"]][name]):
                            raise Failed(f"{reader}, event {b['id']} of {publisher}: {name} is not what was published")
                    if a["sequence"] != i + 1 or a["state"] != "accepted":
                        raise Failed(f"{reader}, event {b['id']}: sequence {a['sequence']}, state {a['state']}")
                    n += 1
    say(f"\nChecked {n} copies of {sum(map(len, events.values()))} events through the interfaces of all nine, against the files: all there, once, "
        "in order, nothing else.")


def check_rows(nodes):
    """The registrars' databases have what the documents say, and nothing else."""
    n = 0
    for member, node in nodes.items():
        found = demo_registrars.read(node.folder / "registrar.db")
        wanted = demo_registrars.expected(member, documents())
        for name, rows in wanted.items():
            for row in rows:
                if row not in found.get(name, []):
                    raise Failed(f"{member}: {name} has no such row: {row}\nbut {found.get(name)}")
            if found[name] != rows:
                raise Failed(f"{member}: {name} has rows that no document speaks of: {[r for r in found[name] if r not in rows]}")
            n += len(rows)
    say(f"Compared {n} rows in nine registrars' databases with the {2 * len(MEMBERS)} documents: all there, as their own mapping wants "
        "them, nothing else.")


def plugins_left(pids):
    """Plugins that have not ended with their nodes."""
    return [pid for pid in pids if is_ours(pid, "enlight-sql")]


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
  {at_ghent} plugins
  {at_tartu} topics course.offering --example | {at_tartu} publish
  {at_tartu} channels     # who has signed for it
  /usr/bin/python3 deploy/demo_registrars.py {os.path.relpath(ghent.folder)}/registrar.db     # it is in Ghent's database as well
  {program} topics mobility.nomination
  curl http://127.0.0.1:{ghent.health_port}/metrics
Logs: {os.path.relpath(HOME)}/MEMBER/log. Ctrl-C stops all nodes.""")


def run(check):
    began = time.monotonic()
    plugins = []
    lock = be_the_only_one()  # until this process ends
    say("Making keys, cards, configurations, registrars' databases and a roster signed by five of nine")
    nodes = make_network()
    events = files()
    try:
        say("Starting nine nodes, each with its plugin")
        for node in nodes.values():
            node.start()
        (HOME / "pids").write_text("".join(f"{n.process.pid}\n" for n in nodes.values()))
        wait_for("nine nodes to be ready and linked to each other",
                 lambda: all(node.is_ready(len(MEMBERS) - 1) for node in nodes.values()))
        plugins = [node.plugin()["pid"] for node in nodes.values()]
        n_posted = sum("data" in e for theirs in events.values() for e in theirs)
        say(f"Publishing {sum(map(len, events.values())) - n_posted} events out of {2 * len(MEMBERS)} documents, and {n_posted} others")
        publish(nodes, events)
        show(nodes)
        show_registrars(nodes)
        check_outsider(nodes, events)
        if check:
            check_copies(nodes, events)
            check_rows(nodes)
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
    if plugins_left(plugins):
        raise Failed(f"plugins outlived their nodes: {plugins_left(plugins)}")
    lock.close()
    if check:
        say(f"Done in {time.monotonic() - began:.1f} s; nine nodes and their plugins stopped.")


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
