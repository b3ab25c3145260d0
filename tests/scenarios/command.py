"""The `enlight` command against a node that only seems to be one: what it asks, what it makes of each answer."""

import fcntl
import functools
import http.server
import json
import os
import pty
import shlex
import socket
import socketserver
import struct
import subprocess
import termios
import threading

import harness
from harness import check, equal

ENLIGHT = harness.BUILD / "node" / "enlight"
ANCHOR = "82" * 32


class Node(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each request by a table: (method, path without query) -> function(request) giving status and JSON."""

    daemon_threads = True

    def __init__(self, path, routes):
        self.routes, self.asked = routes, []
        super().__init__(str(path), Handler)
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        harness.at_exit(thread.join)
        harness.at_exit(self.server_close)
        harness.at_exit(self.shutdown)


class Handler(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        self.server.asked.append((self.command, path, query, self.headers.get("Content-Type"), body))
        route = self.server.routes.get((self.command, path), lambda *_: (404, {"title": "There is nothing here"}))
        status, answer = route(self.server.asked[-1])
        if isinstance(answer, dict):
            kind = "application/json" if status < 400 else "application/problem+json"
            answer = json.dumps(answer).encode()
        else:
            kind = "text/event-stream"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_DELETE = answer


def node(routes):
    """A seeming node and the command's options to reach it."""
    path = harness.folder("command") / "api.sock"
    return Node(path, routes), ["--socket", path]


def enlight(*words, expect=0, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENLIGHT_")}
    return harness.run([ENLIGHT, *words], expect=expect, env=environment, **options)


@functools.lru_cache(maxsize=None)
def example_text(topic):
    return enlight("topics", topic, "--example").stdout


def example(topic="course.offering"):
    """A valid event of a topic, the caller's own to change."""
    return {**json.loads(example_text(topic)), "id": "01a207bd-a9c0-7cc3-98c4-dc0c0c07398f", "source": "ut.ee",
            "time": "2026-11-23T09:30:00Z"}


def published(request):
    """Answers as a node that publishes everything; what has the id `old` was published before."""
    events = json.loads(request[4])
    return 201, {"events": [{"id": e["id"], "state": "again" if e["id"] == "old" else "published", "revision": 1,
                             "audience": e["enlightaudience"], "sequence": i + 1, "digest": "00"}
                            for i, e in enumerate(events)]}


def words_of(row):
    """The words of a verb, without its arguments."""
    return [word for word in row["verb"].split() if word.islower() and word.replace("-", "").isalpha()]


def test_help():
    """Every verb explains itself with an example; the list names them all in order"""
    verbs = json.loads(enlight("help", "--json").stdout)
    names = [row["verb"] for row in verbs]
    equal(names, sorted(names), "order of the verbs")
    for row in verbs:
        said = enlight(*words_of(row), "--help").stdout
        check(row["help"] in " ".join(said.split()), f"{row['verb']}: its line is not in its help", said)
        check("Example:\n  " in said and "Exit status:" in said, f"{row['verb']}: no example or no exit status", said)


def test_examples():
    """What the help of each verb gives as an example can be pasted into a shell, whatever the terminal's width"""
    rows = json.loads(enlight("help", "--json").stdout)
    verbs = {" ".join(words_of(row)) for row in rows}
    for row in rows:
        said = enlight(*words_of(row), "--help").stdout
        block = said[said.index("Example:\n") + len("Example:\n"):said.index("\n\nExit status:")]
        check(all(len(line) < 80 for line in block.splitlines()), f"{row['verb']}: a line is too long", block)
        harness.run(["bash", "-n"], input=block)
        for line in block.replace("\\\n", "").splitlines():
            typed = shlex.split(line)
            check(typed[0] == "enlight" or typed[:2] == ["sudo", "enlight"], f"{row['verb']}: no command", line)
            rest = typed[typed.index("enlight") + 1:]
            check(rest[0] in verbs or " ".join(rest[:2]) in verbs, f"{row['verb']}: no verb", line)


def test_usage():
    """A wrong command line is told so, with status 64"""
    for words in ([], ["nonsense"], ["peers", "block"], ["status", "more"], ["--no-such-option", "status"],
                  ["events", "--no-such-option"], ["events", "--limit", "abc"], ["events", "--limit", "0"],
                  ["tail", "--limit", "5x"], ["peers", "block", "ut.ee"]):
        done = enlight(*words, expect=64)
        check(done.stderr != "" and done.stdout == "", f"{words}", done.stdout, done.stderr)


def test_manual_pages():
    """Manual pages are printed from the tables, and good enough for mandoc"""
    for page in ("enlight.1", "enlight.yaml.5", "enlightd.8"):
        roff = harness.run(["scdoc"], input=enlight("manual", page).stdout).stdout
        lint = harness.run(["mandoc", "-T", "lint", "-W", "warning"], input=roff, expect=None).stdout
        # scdoc sets a paragraph after each heading itself; mandoc skips it.
        lines = [line for line in lint.splitlines() if "skipping paragraph macro" not in line]
        equal(lines, [], page)
    check("enlight peers block" in enlight("manual", "enlight.1").stdout, "a verb is missing in enlight(1)")


def test_completion():
    """Bash completes verbs, second words and a verb's own options"""
    script = harness.folder("completion") / "enlight"
    script.write_text(enlight("manual", "completion").stdout)
    for words, wanted in ((["stat"], ["status"]), (["peers", "blo"], ["block"]), (["peers", "block", "--rea"], ["--reason"])):
        line = " ".join(["enlight"] + words)
        done = harness.run(["bash", "-c", f'source "{script}"; COMP_WORDS=({line}); COMP_CWORD={len(words)}; '
                            f'_enlight enlight "{words[-1]}"; echo "${{COMPREPLY[@]}}"'])
        equal(done.stdout.split(), wanted, line)


def test_no_node():
    """Without a node the command says what to do, and ends with 69"""
    folder = harness.folder("command")
    said = enlight("--socket", folder / "none.sock", "status", expect=69).stderr
    check("there is no socket" in said and "is enlightd running" in said, "no socket", said)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "dead.sock"))
    listener.close()
    said = enlight("--socket", folder / "dead.sock", "status", expect=69).stderr
    check("nobody answers" in said, "dead socket", said)


def test_socket_from_configuration():
    """The socket is the one the configuration names; the environment and the option come before it"""
    folder = harness.folder("command")
    (folder / "enlight.yaml").write_text(f"member: ut.ee\ntrust: {{anchor: {ANCHOR}}}\napi: {{socket: a.sock}}\n")
    said = enlight("--config", folder / "enlight.yaml", "status", expect=69).stderr
    check(str(folder / "a.sock") in said, "the configuration's socket", said)
    said = harness.run([ENLIGHT, "status"], expect=69, env={
        "ENLIGHT_CONFIG": str(folder / "enlight.yaml"), "ENLIGHT_SOCKET": str(folder / "b.sock")}).stderr
    check(str(folder / "b.sock") in said, "the environment's socket", said)
    (folder / "enlight.yaml").write_text("membre: ut.ee\n")
    said = enlight("--config", folder / "enlight.yaml", "status", expect=78).stderr
    check('did you mean "member"?' in said, "a broken configuration", said)


def test_check_config():
    """check-config names every mistake with line and column, and ends with 78"""
    folder = harness.folder("command")
    path = folder / "enlight.yaml"
    path.write_text(f"member: ut.ee\ntrust:\n  anchor: {ANCHOR}\nstore: {{disk_limit: 20GB}}\nlink:\n  lisen: x\n")
    equal(enlight("check-config", path, expect=78).stderr.splitlines(), [
        f"{path}:2:1: error: roster: {folder}/roster.note cannot be found: No such file or directory",
        f"{path}:2:1: error: cards: {folder}/cards cannot be found: No such file or directory",
        f"{path}:2:1: error: keys: {folder}/keys cannot be read: No such file or directory",
        f"{path}:4:21: error: disk_limit: must be a size such as 512KiB or 20GiB",
        f'{path}:6:3: error: unknown setting; did you mean "listen"?'], "what is wrong")
    found = json.loads(enlight("check-config", path, "--json", expect=78).stdout)
    equal((found["config"], found["good"], len(found["errors"])), (str(path), False, 5), "as JSON")
    equal(found["errors"][3], {"file": str(path), "line": 4, "column": 21,
                               "error": "disk_limit: must be a size such as 512KiB or 20GiB"}, "one of them")


def test_example_configuration():
    """The configuration that is installed is good, and names every setting that a new node needs"""
    folder = harness.folder("command")
    (folder / "cards").mkdir()
    (folder / "keys").mkdir(mode=0o700)
    (folder / "roster.note").write_text("enlight roster 1\n")
    for name in ("node-1.key", "store.key"):
        (folder / "keys" / name).write_text("01" * 32 + "\n")
        (folder / "keys" / name).chmod(0o600)
    (folder / "enlight.yaml").write_text(enlight("manual", "enlight.yaml").stdout)
    said = enlight("check-config", folder / "enlight.yaml", expect=78).stderr.splitlines()
    check(all(line.startswith(f"{folder}/roster.note:") for line in said), "nothing but the roster is wrong", *said)


def test_topics():
    """topics lists all topics; one shows its fields, rules and an example that the rules accept"""
    topics = json.loads(enlight("topics", "--json").stdout)
    check(len(topics) > 20 and all(t["purpose"] for t in topics), "the list of topics")
    said = enlight("topics", "mobility.nomination").stdout
    check("student.birthDate" in said and "ISCED-F" in said and '"specversion"' in said, "fields, rules, example", said)
    enlight("topics", "no.such", expect=66)
    enlight("topics", "--example", expect=64)


def test_topic_examples():
    """The example of each topic is this member's own, whoever that is, and the rules accept it"""
    folder = harness.folder("command")
    for member in ("ugent.be", "ut.ee", "uu.se", "unibe.ch"):
        path = folder / f"{member}.yaml"
        path.write_text(f"member: {member}\ntrust: {{anchor: {ANCHOR}}}\n")
        for topic in json.loads(enlight("topics", "--json").stdout):
            text = enlight("--config", path, "topics", topic["name"], "--example").stdout
            event = json.loads(text)
            equal({"source", "id", "time"} & set(event), set(), f"{topic['name']}: what the node adds itself")
            if topic["self"]:  # what only the node says: nobody posts it
                said = enlight("--config", path, "publish", "--dry-run", input=text, expect=None)
                check(said.returncode != 0 and "/type: " in said.stderr, topic["name"], said.stderr)
                continue
            check(member not in event["enlightaudience"].split(","), f"{topic['name']}: the audience", event)
            enlight("--config", path, "publish", "--dry-run", input=text)


def test_publish_forms():
    """One object, several, one a line, an array, over several lines: each event comes to the node once and in order"""
    server, to = node({("POST", "/v1/events"): published})
    first, second = dict(example(), id="a"), dict(example(), id="b")
    forms = {
        "one": ([first], json.dumps(first)),
        "indented": ([first, second], json.dumps(first, indent=1) + json.dumps(second, indent=4)),
        "lines": ([first, second], json.dumps(first) + "\n\n" + json.dumps(second) + "\r\n"),
        "array": ([first, second], json.dumps([first, second], indent=2)),
        "nothing": ([], " \n"),
        "empty array": ([], "[]"),
    }
    for name, (events, text) in forms.items():
        server.asked.clear()
        done = enlight(*to, "publish", input=text)
        sent = [event for request in server.asked for event in json.loads(request[4])]
        equal(sent, events, name)
        check(all(request[3] == "application/cloudevents-batch+json" for request in server.asked), "the content type")
        check(f"{len(events)} published" in done.stderr and done.stdout == "", name, done.stdout, done.stderr)


def test_publish_many():
    """Many events go in batches; counts say what became of them; --json prints each answer"""
    server, to = node({("POST", "/v1/events"): published})
    events = [dict(example(), id="old" if i % 3 == 0 else f"n{i}") for i in range(1201)]
    path = harness.folder("command") / "events.json"
    path.write_text("\n".join(json.dumps(event) for event in events))
    done = enlight(*to, "publish", "--audience", "ugent.be,rug.nl", "--json", path)
    sizes = [len(json.loads(request[4])) for request in server.asked]
    check(sum(sizes) == 1201 and max(sizes) <= 500 and len(sizes) <= 4, "batches", sizes)
    check(all(e["enlightaudience"] == "ugent.be,rug.nl" for r in server.asked for e in json.loads(r[4])), "the audience")
    check("800 published, 0 unchanged, 401 published before" in done.stderr, "counts", done.stderr)
    equal(len([json.loads(line) for line in done.stdout.splitlines()]), 1201, "answers")


def test_publish_as_it_comes():
    """A source that pauses does not wait for a batch to fill"""
    server, to = node({("POST", "/v1/events"): published})
    process = subprocess.Popen([str(word) for word in (ENLIGHT, *to, "publish", "--quiet")], stdin=subprocess.PIPE)
    harness.at_exit(process.wait)
    harness.at_exit(process.kill)
    for name in ("a", "b"):
        process.stdin.write(json.dumps(dict(example(), id=name)).encode() + b"\n")
        process.stdin.flush()
        harness.wait_until(lambda: name in "".join(json.loads(r[4])[0]["id"] for r in server.asked), f"event {name}")
    process.stdin.close()
    equal(process.wait(10), 0, "exit status")


def test_publish_refused():
    """What the node refuses is named by line, place and rule; what came before stays published"""
    def refuse(request):
        events = json.loads(request[4])
        wrong = [i for i, event in enumerate(events) if event["id"] == "wrong"]
        if not wrong:
            return published(request)
        return 422, {"title": "An event breaks a rule of its topic; nothing was published", "status": 422,
                     "errors": [{"pointer": f"/{i}/data/level", "rule": "must be a level"} for i in wrong]}

    _, to = node({("POST", "/v1/events"): refuse})
    path = harness.folder("command") / "events.json"
    events = [dict(example(), id="wrong" if i == 600 else f"n{i}") for i in range(700)]
    path.write_text("\n".join(json.dumps(event, indent=1) for event in events))
    lines = json.dumps(events[0], indent=1).count("\n") + 1
    said = enlight(*to, "publish", path, expect=65).stderr.splitlines()
    equal(said[0], f"{path}:{600 * lines + 1}: /data/level: must be a level", "line, place and rule")
    check("nothing was published (422)" in said[1], "the title", *said)
    check("500 published" in said[2] and "run it again" in said[3], "what to do", *said)


def test_publish_broken_input():
    """Input that is no JSON is named by its line, with status 65"""
    _, to = node({("POST", "/v1/events"): published})
    good = json.dumps(example())
    for text, wanted in (
            (good + "\n{\"a\": }\n", "-:2:7: not JSON: syntax"),
            ('[' + good + ", {\"a\" 1}]", f"-:1:{len(good) + 9}: not JSON: syntax"),
            ('{"é": "é",\n "b": "\xe9"}', "-:2:7: not JSON: not UTF-8"),
            ('{"a": 1,\n\n"a": 2}', "-:3:3: not JSON: a name comes twice in one object"),
            (good + "\nhello", "-:2: an event must be a JSON object"),
            ("[" + good, "-:1: the array has no end"),
            ('\n{"a": "}', "-:2: the event has no end"),
            ('{"a": "' + "x" * (1 << 20) + '"}', "-:1: an event is at most 1 MiB of JSON")):
        said = enlight(*to, "publish", expect=65, input=text.replace("\xe9\"}", "\udce9\"}"), errors="surrogateescape").stderr
        check(said.startswith(wanted) or wanted in said.splitlines(), wanted, said[:500])
    enlight(*to, "publish", "/nonexistent/file", expect=66)


def test_publish_waits_for_a_busy_node():
    """A node that is too busy is asked again"""
    tries = []

    def busy(request):
        tries.append(1)
        return published(request) if len(tries) > 2 else (503, {"title": "Too busy"})

    _, to = node({("POST", "/v1/events"): busy})
    enlight(*to, "publish", input=json.dumps(example()))
    equal(len(tries), 3, "tries")


def test_publish_dry_run():
    """--dry-run checks the rules without a node"""
    event = example("mobility.nomination")
    enlight("--socket", "/nonexistent", "publish", "--dry-run", input=json.dumps(event))
    del event["data"]["student"]
    said = enlight("publish", "--dry-run", expect=65, input="\n" + json.dumps(event)).stderr
    check(said.startswith("-:2: /data/student"), "the place of what is missing", said)
    check("1 events checked, 1 wrong; nothing was published" in said, "the count", said)


def test_problems():
    """A refusal is printed as the node words it; its kind decides the exit status"""
    for status, wanted in ((400, 65), (403, 77), (404, 66), (409, 65), (410, 66), (413, 65), (503, 75), (507, 73), (500, 70)):
        _, to = node({("GET", "/v1/status"): lambda *_, status=status: (status, {
            "title": "A title", "status": status, "errors": [{"pointer": "/a", "rule": "a rule"}]})})
        said = enlight(*to, "status", expect=wanted).stderr
        check(f"A title ({status})" in said and "/a: a rule" in said, str(status), said)


def test_lists():
    """Lists are tables for people, JSON for programs, and cannot steer a terminal"""
    peers = {"peers": [{"member": "ut.ee", "name": "Tartu", "state": "live", "seconds": 10800, "dialled": True,
                        "endpoint": "tcp://ut.ee:4847", "key": 3, "card": 4, "last_error": "\x1b[2Jgone",
                        "bytes_in": 1536, "bytes_out": 3 << 20, "behind": 7}]}
    channels = {"channels": [{"publisher": "ut.ee", "audience": "network", "incarnation": 1, "first": 1, "last": 18,
                              "digest": "ab" * 32, "events": 18, "state": "live",
                              "receipts": [{"reader": "ugent.be", "to": 18}, {"reader": "rug.nl", "to": 12}]}]}
    _, to = node({("GET", "/v1/peers"): lambda *_: (200, peers), ("GET", "/v1/channels"): lambda *_: (200, channels)})
    said = enlight(*to, "peers").stdout
    check("1.5 KiB" in said and "3.0 MiB" in said and "3 h" in said and "\x1b" not in said and "ut.ee" in said, "peers", said)
    equal(json.loads(enlight(*to, "peers", "--json").stdout), peers["peers"], "peers as JSON")
    said = enlight(*to, "channels").stdout
    check("ugent.be 18, rug.nl 12" in said and "abababababab" in said and "ab" * 32 not in said, "channels", said)
    equal(len(enlight(*to, "channels", "--raw").stdout.splitlines()), 1, "lines of the raw table")


def on_terminal(columns, *words):
    """What the command writes to a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen([str(word) for word in (ENLIGHT, *words)], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    while True:
        try:
            some = os.read(master, 65536)
        except OSError:  # the terminal has no writer any more
            break
        said += some
        if not some:
            break
    os.close(master)
    equal(process.wait(10), 0, "exit status")
    return said.decode().replace("\r\n", "\n").splitlines()


def test_width():
    """Tables keep to the terminal's width and cut no word; in a pipe each row is one line, in whole"""
    for columns in (72, 100, 120):
        lines = on_terminal(columns, "topics")
        check(max(map(len, lines)) <= columns, f"{columns} columns", *lines)
        check(any(line.rstrip().endswith(" member") for line in lines) or columns > 72, "words in whole", *lines)
    topics = json.loads(enlight("topics", "--json").stdout)
    piped = enlight("topics").stdout.splitlines()
    equal(len(piped), len(topics) + 1, "lines in a pipe")
    check(all(topic["purpose"] in line for topic, line in zip(topics, piped[1:])), "whole rows", *piped)


def test_status():
    """status says in a few lines what the node is and why it is not ready"""
    status = {"member": "ut.ee", "network": "cd" * 32, "roster": {"number": 2, "digest": "ef" * 32}, "card": 4,
              "network_name": "enlight", "version": "0.1.0", "uptime_seconds": 7300, "channels": {"stopped": 1},
              "ready": False, "reasons": ["the disk is full"],
              "events": {"published": 5, "received": 6, "refused": 0},
              "store": {"bytes": 2048, "limit_bytes": 4096}, "links": {"live": 3, "members": 9}}
    _, to = node({("GET", "/v1/status"): lambda *_: (200, status)})
    said = enlight(*to, "status").stdout
    check("NOT READY" in said and "the disk is full" in said and "3 of 8 other members" in said and "0 refused since start" in said and "2.0 KiB of 4.0 KiB" in said
          and "up 2 h" in said and "1 channels are stopped" in said, "status", said)
    equal(json.loads(enlight(*to, "status", "--json").stdout), status, "status as JSON")


def test_block():
    """Blocking needs a reason, says what it would do with --dry-run, and asks the node once"""
    server, to = node({("POST", "/v1/peers/ut.ee/block"): lambda *_: (200, {"state": "changed"}),
                       ("DELETE", "/v1/peers/ut.ee/block"): lambda *_: (200, {"state": "changed"})})
    check("would" in enlight(*to, "peers", "block", "ut.ee", "--reason", "x", "--dry-run").stderr, "the dry run")
    equal(server.asked, [], "what a dry run asked")
    enlight(*to, "peers", "block", "ut.ee", "--reason", 'floods "us"')
    enlight(*to, "peers", "unblock", "ut.ee")
    equal([request[0] for request in server.asked], ["POST", "DELETE"], "what was asked")
    equal(json.loads(server.asked[0][4]), {"reason": 'floods "us"'}, "the reason")
    enlight(*to, "peers", "block", "../../x", "--reason", "x", expect=66)
    equal(server.asked[-1][1], "/v1/peers/..%2F..%2Fx/block", "a name that is no member's")


def test_events():
    """Filters reach the node escaped; a page becomes a table"""
    page = {"events": [{"cursor": "7.0", "time": "2026-11-23T09:30:00Z", "source": "ut.ee", "enlightaudience": "ugent.be",
                        "sequence": 18, "type": "eu.enlight.course.offering.v1", "subject": "course/x",
                        "enlightrevision": 2, "state": "accepted"}], "next": "7.0"}
    server, to = node({("GET", "/v1/events"): lambda *_: (200, page)})
    said = enlight(*to, "events", "--topic", "course.*", "--audience", "ugent.be,rug.nl", "--after", "1.2", "--data").stdout
    equal(server.asked[0][2], "topic=course.%2A&audience=ugent.be%2Crug.nl&data=true&after=1.2&limit=100", "the query")
    check("course/x" in said and "7.0" in said, "the table", said)
    equal(json.loads(enlight(*to, "events", "--json").stdout), page, "the page as JSON")


def test_tail():
    """tail prints events as they come and goes on behind its cursor when the node ends the stream"""
    def stream(request):
        first = 3 if "after=2.0" in request[2] else 1
        return 200, b": ping\n\n" + b"".join(
            b'id: %d.0\r\nevent: event\ndata: {"cursor": "%d.0",\ndata: "subject": "course/%d"}\n\n' % (i, i, i)
            for i in (first, first + 1))

    server, to = node({("GET", "/v1/events/stream"): stream})
    done = enlight(*to, "tail", "--json", "--limit", "3", "--topic", "course.*")
    equal([json.loads(line)["cursor"] for line in done.stdout.splitlines()], ["1.0", "2.0", "3.0"], "cursors")
    equal([request[2] for request in server.asked], ["topic=course.%2A", "topic=course.%2A&after=2.0"], "queries")
    _, to = node({("GET", "/v1/events/stream"): lambda *_: (403, {"title": "Not allowed", "status": 403})})
    enlight(*to, "tail", expect=77)


def test_doctor():
    """doctor names what is wrong and what to do, and fails when something is"""
    folder = harness.folder("command")
    said = enlight("--config", folder / "none.yaml", "doctor", expect=78).stdout
    check("FAIL  configuration" in said and "enlight init" in said, "no configuration", said)
    (folder / "bad.yaml").write_text("member: ut.ee\nbogus: 1\n")
    done = enlight("--config", folder / "bad.yaml", "doctor", expect=78)
    equal((done.stdout + done.stderr).count("bad.yaml:2:1: unknown setting"), 1, "how often a mistake is said")
    _, to = node({("GET", "/readyz"): lambda *_: (503, {"title": "Not ready", "errors": [{"rule": "starting"}]}),
                  ("GET", "/v1/status"): lambda *_: (200, {"links": {"live": 0, "members": 9}})})
    found = {row["check"]: row for row in json.loads(enlight(*to, "--config", folder / "none.yaml", "doctor", "--json",
                                                             expect=78).stdout)}
    equal(found["ready"]["found"], "not ready: starting", "readiness")
    equal((found["links"]["verdict"], found["socket"]["verdict"]), ("warn", "ok"), "links and socket")


if __name__ == "__main__":
    harness.main()
