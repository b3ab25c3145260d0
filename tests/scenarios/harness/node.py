"""node - members of a network with real nodes on loopback: made, started, killed, stopped, asked."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import nacl.signing

import harness
from harness import notes

START_S = 60
STOP_S = 60
ANSWER_S = 60
HANDLES = ["rug.nl", "ugent.be", "u-bordeaux.fr", "uni-goettingen.de", "ut.ee", "uu.se", "unibe.ch", "uniovi.es",
           "universityofgalway.ie"]
SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|AddressSanitizer:DEADLYSIGNAL")

_ports = set()


def free_port():
    """A port of loopback that nobody listens on, and that no one here was given before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _ports:
            _ports.add(port)
            return port


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=ANSWER_S):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    """An HTTP answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def errors(self):
        """Of a problem document: (pointer, rule) of each error."""
        return [(e["pointer"], e["rule"]) for e in self.json.get("errors", [])]

    def __str__(self):
        return f"{self.status} {self.body[:2000].decode(errors='replace')}"


class Stream:
    """Server-sent events, one after the other."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.last_id = None

    def read(self):
        """The next event as (id, object); comments and lone ids are passed over. None: the stream has ended."""
        data = []
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif line == "" and data:
                return self.last_id, json.loads("\n".join(data))

    def close(self):
        self.connection.close()


class Node:
    """A member's node: its files, its process, its API."""

    def __init__(self, member, folder, port, build):
        self.member, self.folder, self.port, self.build = member, folder, port, build
        self.configuration = folder / "enlight.yaml"
        self.socket = folder / "api.sock"
        self.log = folder / "log"
        self.process = None
        self.paused = False
        self.ahead = None  # a file that says how many seconds its clocks are ahead of ours

    # the process

    @property
    def command(self):
        program = "tests/tools/enlightd_another_day" if self.ahead else "node/enlightd"
        return [str(self.build / program), "--config", str(self.configuration)]

    def launch(self):
        """Starts the process without waiting for it to be ready."""
        harness.check(self.process is None, f"{self.member.handle} runs already")
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "ENLIGHT_TEST_AHEAD": str(self.ahead)})

    def start(self):
        self.launch()
        self.wait_ready()
        return self

    def wait_ready(self):
        harness.wait_until(self.ready, f"{self.member.handle} is ready\n{self.tail()}", START_S)

    def ready(self):
        """Whether /readyz says so; a process that has ended meanwhile will never be."""
        harness.check(self.process.poll() is None, f"{self.member.handle} ended by itself: {self.process.returncode}",
                      self.tail())
        try:
            return self.get("/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self.process, self.paused = None, False

    def wait_end(self):
        """Waits until it ends by itself; its exit status."""
        status = self.process.wait(STOP_S)
        self.process = None
        return status

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.paused = False

    def stop(self):
        """Ends it as systemd would; a node that does not end well fails the test."""
        if self.process is None:
            return
        if self.paused:
            self.resume()
        process, self.process = self.process, None
        process.terminate()
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise harness.Failure(f"{self.member.handle} did not end within {STOP_S} s of SIGTERM")
        harness.check(code == 0, f"{self.member.handle} ended with {code}", self.tail())
        found = SANITIZER.search(self.log.read_text(errors="replace"))
        harness.check(not found, f"{self.member.handle}: {found and found.group(0)}", self.tail())

    def tail(self, lines=25):
        """The end of its log; where a sanitizer spoke, what it said first."""
        if not self.log.exists():
            return f"({self.member.handle} has written no log)"
        text = self.log.read_text(errors="replace").split("\n")
        found = [i for i, line in enumerate(text) if SANITIZER.search(line)]
        text = text[found[0]:][:40] if found else text[-lines:]
        return f"--- log of {self.member.handle}\n" + "\n".join(text)

    def logged(self, subject, message):
        """The lines of its log about this."""
        rows = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [row for row in rows if (row["subject"], row["message"]) == (subject, message)]

    def memory_kb(self, row="VmRSS"):
        """Resident memory now; with VmHWM the most there ever was."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{row}:\s+(\d+) kB", status, re.M).group(1))

    def enlight(self, *words, **options):
        """Runs the command as this node's operator would. Options are those of harness.run()."""
        return harness.run([self.build / "node/enlight", "--config", self.configuration, *words], **options)

    # the API

    def request(self, method, path, body=None, headers=None):
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, path, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        return self.request("GET", path + query)

    def ask(self, path, **parameters):
        """GET of something that must be there, as JSON."""
        answer = self.get(path, **parameters)
        harness.check(answer.status == 200, f"GET {path} at {self.member.handle}", answer)
        return answer.json

    def post(self, events):
        """Publishes one event or a list of them."""
        kind = "cloudevents-batch" if isinstance(events, list) else "cloudevents"
        return self.request("POST", "/v1/events", json.dumps(events).encode(),
                            {"Content-Type": f"application/{kind}+json"})

    def publish(self, events):
        """The same, where it must work. Returns what the node answers for each event."""
        answer = self.post(events)
        harness.check(answer.status in (200, 201), f"publishing at {self.member.handle}", answer)
        return answer.json["events"]

    def import_note(self, note):
        kind = "rosters" if note.startswith("enlight roster") else "cards"
        return self.request("POST", f"/v1/{kind}", note.encode(), {"Content-Type": "text/plain"})

    def events(self, **filters):
        """All that it holds, in the order it was stored, page by page."""
        found, filters = [], {"limit": 200 if filters.get("data") else 1000, **filters}
        while True:
            page = self.ask("/v1/events", **filters)
            found += page["events"]
            if not page["more"]:
                return found
            filters["after"] = page["next"]

    def count(self, **filters):
        return len(self.events(**filters))

    def stream(self, last_id=None, **parameters):
        """Server-sent events; `after="0.0"` begins with the oldest."""
        connection = UnixConnection(self.socket)
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        connection.request("GET", "/v1/events/stream" + query, headers={"Last-Event-ID": last_id} if last_id else {})
        response = connection.getresponse()
        harness.check(response.status == 200, "the stream opens", response.status)
        harness.at_exit(connection.close)
        return Stream(connection, response)

    def channel(self, publisher, audience):
        """What it says of one channel; None when it knows of none."""
        for row in self.ask("/v1/channels")["channels"]:
            if (row["publisher"], row["audience"]) == (publisher, audience):
                return row
        return None

    def wait_for(self, publisher, audience, sequence, seconds=120):
        """Waits until it holds a channel up to this sequence."""
        def holds():
            channel = self.channel(publisher, audience)
            return channel is not None and channel["last"] >= sequence
        harness.wait_until(holds, f"{self.member.handle} holds {publisher}'s channel to {audience} up to {sequence}", seconds)

    def wait_receipt(self, audience, reader, sequence, seconds=120):
        """Waits until a reader's receipt for one of its own channels covers this sequence."""
        def covered():
            channel = self.channel(self.member.handle, audience) or {"receipts": []}
            return any(r["reader"] == reader and r["to"] >= sequence for r in channel["receipts"])
        harness.wait_until(covered, f"{self.member.handle} has {reader}'s receipt for {audience} up to {sequence}", seconds)

    def peer(self, handle):
        for row in self.ask("/v1/peers")["peers"]:
            if row["member"] == handle:
                return row
        return None

    def metric(self, name, **labels):
        """A sample of /metrics; None when there is none."""
        for line in self.get("/metrics").body.decode().split("\n"):
            match = re.match(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$", line)
            if match and match.group(1) == name:
                have = dict(re.findall(r'(\w+)="([^"]*)"', match.group(2) or ""))
                if all(have.get(k) == v for k, v in labels.items()):
                    return float(match.group(3))
        return None


class Member:
    """A university: its identity key and its node."""

    def __init__(self, network, handle, listens):
        self.network, self.handle = network, handle
        self.identity = nacl.signing.SigningKey.generate()
        self.keys = [notes.NodeKeys()]
        self.port = free_port() if listens else None
        self.node = Node(self, network.folder / handle, self.port, network.build)

    @property
    def entry(self):
        return notes.RosterEntry(self.handle, self.identity)

    @property
    def endpoint(self):
        return f"tcp://127.0.0.1:{self.port}" if self.port else None

    def card(self, **options):
        return notes.card(self.network.rosters[0], self.handle, self.identity, self.keys,
                          **{"endpoint": self.endpoint, **options})


class Network:
    """Members under one roster, each with its folder of keys, cards and configuration. No node runs yet.

    `silent` members do not listen, they only dial; `settings` are lines for the configuration of every node."""

    def __init__(self, handles=3, silent=(), settings="", build=None, folder=None):
        names = HANDLES[:handles] if isinstance(handles, int) else list(handles)
        self.folder = folder or harness.folder("net")
        self.build = build or harness.BUILD
        self.members = {}
        self.rosters = []
        for handle in names:
            self.members[handle] = Member(self, handle, handle not in silent)
        entries = [member.entry for member in self.members.values()]
        signers = [(member.handle, member.identity) for member in self.members.values()]
        self.rosters.append(notes.signed(notes.roster_text(entries), *signers))
        self.anchor = notes.note_digest(self.rosters[0]).hex()
        for member in self.members.values():
            self.write(member, settings)
        harness.on_failure(self.logs)

    def write(self, member, settings=""):
        """A member's files: keys, the roster, the cards of all, the configuration."""
        node = member.node
        for path, mode in ((node.folder, 0o755), (node.folder / "keys", 0o700), (node.folder / "cards", 0o755),
                           (node.folder / "state", 0o700)):
            path.mkdir(mode=mode, exist_ok=True)
        for keys in member.keys:
            self.write_secret(node.folder / "keys" / f"node-{keys.number}.key", keys.secret)
        if not (node.folder / "keys" / "store.key").exists():
            self.write_secret(node.folder / "keys" / "store.key", os.urandom(32))
        (node.folder / "roster.note").write_text(self.rosters[0])
        for other in self.members.values():
            (node.folder / "cards" / f"{other.handle}.card").write_text(other.card())
        (node.folder / "card.lines").write_text((f"endpoint {member.endpoint}\n" if member.port else "") + "takes *\n")
        listen = f"link: {{listen: \"{member.endpoint}\"}}\n" if member.port else ""
        node.configuration.write_text(
            f"member: {member.handle}\nstate: {node.folder}/state\n"
            f"trust:\n  anchor: {self.anchor}\n  roster: roster.note\n  cards: cards\n  keys: keys\n"
            f"{listen}api: {{socket: {node.socket}}}\n{settings}")

    @staticmethod
    def write_secret(path, secret):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret.hex() + "\n")

    def __getitem__(self, handle):
        """A member's node."""
        return self.members[handle].node

    @property
    def nodes(self):
        return [member.node for member in self.members.values()]

    def start(self, *handles):
        """Starts these nodes, or all, side by side; they are stopped when the test ends."""
        nodes = [self[handle] for handle in handles] or self.nodes
        for node in nodes:
            harness.at_exit(node.stop)
            node.launch()
        for node in nodes:
            node.wait_ready()
        return self

    def logs(self):
        return "\n".join(node.tail() for node in self.nodes)


@contextlib.contextmanager
def forgiving():
    """What a client of a node that may be killed at any moment has to live with."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError):
        time.sleep(harness.POLL_S)


# Events that every node accepts.

def uuid7(time_ms=None):
    """Time first, so that ids grow as they are made."""
    value = ((time_ms or time.time_ns() // 1_000_000) << 80) | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(3 << 62) | 2 << 62
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def course(source, audience="network", course_id=None, title="Game Theory", **attributes):
    """A course of a university, as its catalogue would publish it."""
    course_id = course_id or uuid7()
    return {"specversion": "1.0", "id": uuid7(), "source": source, "type": "eu.enlight.course.offering.v1",
            "subject": f"course/{course_id}", "time": "2026-11-23T09:30:00Z", "enlightaudience": audience,
            "datacontenttype": "application/json",
            "data": {"courseId": course_id, "title": [{"lang": "en", "value": title}]}, **attributes}


def nomination(sender, receiver, mobility_id=None, **attributes):
    """A student nominated to a partner; personal, so for that partner alone."""
    mobility_id = mobility_id or uuid7()
    return {"specversion": "1.0", "id": uuid7(), "source": sender, "type": "eu.enlight.mobility.nomination.v1",
            "subject": f"mobility/{mobility_id}", "time": "2026-11-23T09:30:00Z", "enlightaudience": receiver,
            "datacontenttype": "application/json",
            "data": {"mobilityId": mobility_id, "sending": {"heiId": sender}, "receiving": {"heiId": receiver},
                     "student": {"names": [{"given": "Kadri", "family": "Tamm"}], "personId": f"{sender}:b41887"},
                     "receivingAcademicYear": "2026/2027", "activityType": "student-studies"}, **attributes}
