#!/usr/bin/python3
"""Writes the seeds of the fuzzing targets, corpus/NAME/seed-*, and the dictionaries: from the published vectors, from examples of ours,
and from short programs for those targets whose input is one. What fuzzing found beside them (crash-*, found-*) stays as it is."""

import hashlib
import json
import pathlib
import re

from nacl import bindings

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def vectors(name):
    return json.loads((ROOT / "proto/vectors" / f"{name}.json").read_text())


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    (folder / f"seed-{name[:40]}").write_bytes(data.encode() if isinstance(data, str) else data)


def put_dictionary(target, words):
    lines = [f'"{word}"\n' for word in sorted(set(words))]
    (HERE / f"{target}.dict").write_text("".join(lines))


# ---- protobuf, as little as the seeds need ----

def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


# ---- link: frames, headers, batches, receipts, events ----

def link():
    for i, frame in enumerate(vectors("handshake")["frames"]):
        put("frame", f"hello {i + 1}", bytes.fromhex(frame))
    for refused in vectors("handshake")["refused"]:
        put("frame", refused["why"], message((2, message((1, bytes.fromhex(refused["claim"]))))))
    batch = vectors("batch")
    session = (1, bytes.fromhex(batch["session"]))
    header = bytes.fromhex(batch["packed"])
    put("frame", "deliver", bytes.fromhex(batch["frame"]))
    channel = message((1, "ut.ee"), (2, "rug.nl"), (2, "ugent.be"))
    put("frame", "heads", message(session, (3, message((1, message((1, header), (2, bytes(64)))))), (10, 1)))
    put("frame", "fetch", message(session, (4, message((1, channel), (2, 1), (3, 20), (4, bytes(32)), (5, 2 << 20))), (10, 2)))
    put("frame", "refuse", message(session, (7, message((1, 9), (2, "no"), (3, channel))), (10, 3)))
    put("frame", "note", message(session, (8, message((1, "enlight roster 1\n"), (3, message((1, "ut.ee"), (2, 1))), (4, 1)))))
    for h in vectors("header")["headers"]:
        put("header", h["what"], bytes.fromhex(h["packed"]))
    for h in vectors("header")["refused"]:
        put("header", h["what"], bytes.fromhex(h["packed"]))
    for i, s in enumerate(vectors("sealing")["seals"]):
        if s.get("body"):
            put("batch", f"{i} {s['what']}", b"\x01" + bytes.fromhex(s["body"]))
    put("batch", "as it is", b"\x00" + bytes.fromhex(batch["body"]))
    whole = bytes.fromhex(vectors("evidence")["whole"])
    for i, one in enumerate(vectors("evidence")["files"][::6]):
        middle = bytes.fromhex(one["middle"])
        put("evidence", one["what"], bytes([i % 2]) + whole[:one["head"]] + middle + whole[len(whole) - one["tail"]:])
    for r in vectors("receipt")["receipts"] + vectors("receipt")["refused"]:
        put("receipt", r["what"], bytes.fromhex(r["packed"]))


def events():
    v = vectors("event")
    words = set()
    for e in v["events"]:
        text = json.dumps(e["event"], separators=(",", ":"), ensure_ascii=False)
        words |= set(re.findall(r'"([A-Za-z][A-Za-z0-9_.]*)"', text))
        put("event", e["topic"], bytes.fromhex(e["packed"]))
        put("json_event", e["topic"], text)
    for e in v["refused"][:12]:
        put("event", "refused " + e["topic"] + " " + e["at"], bytes.fromhex(e["packed"]))
    names = [f'\\"{word}\\"' for word in words]
    put_dictionary("json_event", names)
    course = {**next(e["event"] for e in v["events"] if e["topic"] == "course.offering"), "source": "ut.ee"}
    packed = next(e["packed"] for e in v["events"] if e["topic"] == "course.offering")
    one = json.dumps(course, separators=(",", ":"), ensure_ascii=False)
    data = json.dumps(course["data"], separators=(",", ":"), ensure_ascii=False)
    headers = "".join(f"{k}: {x}\n" for k, x in course.items() if k not in ("data", "datacontenttype"))
    attributes = [(5, message((1, k), (2, message((3, str(x))))))
                  for k, x in course.items() if k not in ("id", "source", "specversion", "type", "data")]
    event = message((1, course["id"]), (2, course["source"]), (3, course["specversion"]), (4, course["type"]), *attributes,
                    (6, data_of(bytes.fromhex(packed))))
    for kind in range(8):
        put("cloudevents", f"one {kind}", bytes([kind]) + one.encode())
        put("cloudevents", f"many {kind}", bytes([kind]) + f"[{one},{one}]".encode())
        put("cloudevents", f"binary {kind}", bytes([kind]) + f"{headers}\n{data}".encode())
        put("cloudevents", f"packed {kind}", bytes([kind]) + event)
        put("cloudevents", f"packed many {kind}", bytes([kind]) + field(1, event) + field(1, event))
    put_dictionary("cloudevents", names + list(course) + ["data_base64", "datacontenttype"])
    return one, event, headers, data


def data_of(event):
    """The data of a packed Event: its field 7."""
    at = 0
    while at < len(event):
        key, at = varint_at(event, at)
        value, at = varint_at(event, at)
        if key & 7 == 2:
            if key >> 3 == 7:
                return event[at:at + value]
            at += value
    return b""


def varint_at(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


# ---- notes of the targets' own network (world.h) ----

def identity(handle):
    seed = hashlib.blake2b(f"{handle} identity 0".encode(), digest_size=32).digest()
    return bindings.crypto_sign_seed_keypair(seed)[0]


def node_key(handle, number):
    secret = hashlib.blake2b(f"{handle} node {number}".encode(), digest_size=32).digest()

    def derive(context):
        return hashlib.blake2b(b"", digest_size=32, key=secret, salt=(1).to_bytes(8, "little"), person=context).digest()
    return bindings.crypto_sign_seed_keypair(derive(b"enlsign_"))[0], bindings.crypto_scalarmult_base(derive(b"enllink_"))


def base64(data):
    import base64 as b
    return b.b64encode(data).decode()


def notes():
    members = ["rug.nl", "ugent.be", "ut.ee"]

    def roster(number, links, quorum, handles, more=""):
        lines = "".join(f"member {h} EU {base64(identity(h))} University of {h}\n" for h in handles)
        return f"enlight roster 1\nnetwork enlight\nnumber {number}\n{links}quorum {quorum}\n{lines}{more}"

    first = roster(1, "previous none\n", 2, members)
    digest = hashlib.blake2b(first.encode(), digest_size=32).hexdigest()
    second = roster(2, f"previous {digest}\norigin {digest}\n", 2, ["ugent.be", "ut.ee"], "alias ut.ee tartu.example\n")

    def card(handle, number, *keys, takes="course.*"):
        lines = ""
        for k, state in keys:
            sign, link_key = node_key(handle, k)
            lines += f"{state} {k} sign {base64(sign)}" + (f" link {base64(link_key)}\n" if state == "key" else "\n")
        return (f"enlight card 1\nnetwork {digest}\nmember {handle}\nnumber {number}\n"
                f"endpoint tcp://node.example:4847\n{lines}takes {takes}\n")

    claim = message((1, 1), (2, 1), (3, bytes.fromhex(digest)), (4, "ut.ee"), (5, "ugent.be"), (6, node_key("ut.ee", 1)[1]),
                    (7, node_key("ugent.be", 1)[1]), (8, bytes(32)), (9, b"\x09" + bytes(31)), (10, bytes(16)), (11, 1),
                    (12, 1700000000000), (13, 1))
    put("frame", "hello of a member", message((2, message((1, claim), (2, bytes(64))))))
    everybody = 0b00111111
    put("note", "first roster", b"\x00" + first.encode())
    put("note", "second roster", bytes([everybody & 0b010101]) + second.encode())
    put("note", "signed by one", bytes([0b000001]) + second.encode())
    put("note", "card", bytes([0b110000]) + card("ut.ee", 2, (1, "key")).encode())
    put("note", "card renewed", bytes([0b110000]) + card("ut.ee", 3, (1, "key"), (2, "key"), takes="* course.*").encode())
    put("note", "card retired", bytes([0b110000]) + card("ut.ee", 2, (1, "retired"), (2, "key")).encode())
    put("note", "card revoked", bytes([0b000011]) + card("rug.nl", 2, (1, "revoked"), (2, "key")).encode())
    put("note", "head of a backup", b"\x00" + (
        f"enlight backup 1\nmember ut.ee\nnetwork {digest}\ntime 2026-11-23T09:30:00.000Z\nversion 0.1.0\nroster 1 {digest}\n"
        f"identity {base64(identity('ut.ee'))}\nstore-key {base64(bytes(80))}\ndatabase 8192 {digest}\n"
        f"signed 1 {base64(bytes(64))}\n").encode() + b"SQLite format 3\0")
    for i, n in enumerate(vectors("notes")["refused"]):
        put("note", f"refused {i}", b"\x00" + n["text"].encode())
    put_dictionary("note", ["enlight roster 1\\x0a", "enlight card 1\\x0a", "\\x0anetwork ", "\\x0anumber ", "\\x0aprevious ",
                            "\\x0aorigin ", "\\x0aquorum ", "\\x0amember ", "\\x0aalias ", "\\x0aendpoint tcp://", "\\x0akey ",
                            "\\x0aretired ", "\\x0arevoked ", "\\x0atakes ", " sign ", " link ", "\\x0a\\x0a", "\\x0a!",
                            "\\xe2\\x80\\x94 ", "ut.ee", "rug.nl", "ugent.be", "course.*"])


# ---- plugins ----

def framed(*fields):
    m = message(*fields)
    return varint(len(m)) + m


def plugins():
    packed = bytes.fromhex(vectors("batch")["events"][0]["packed"])
    start = framed((1, message((1, 1), (2, "ugent.be"), (3, "fuzzed"), (4, '{"file": "x", "number": 3, "wait": "5s", "flag": true}'),
                               (5, "/state"), (6, 10000), (7, "*"), (9, "/folder"), (10, "enlight.yaml"))))

    def deliver(number, event, attempt=1):
        return framed((2, message((1, number), (2, "ut.ee"), (3, "ugent.be"), (4, 1), (5, number), (6, event), (7, bytes(32)),
                                  (8, attempt), (9, 1))))

    erase = framed((3, message((1, 9), (2, "ut.ee"), (3, "network"), (4, 1), (4, 2), (5, "an-id"), (6, "course/1"), (7, "a"))))
    published = framed((4, message((1, 1), (2, 422), (8, message((1, "/data"), (2, "a rule"))))))
    put("sdk", "start", start)
    put("sdk", "bad settings", framed((1, message((1, 1), (2, "a.eu"), (3, "f"), (4, '{"files": "x", "wait": 5}'), (5, "/s"), (6, 1)))))
    put("sdk", "deliver", start + deliver(1, packed) + deliver(2, packed, 2) + framed((5, b"")))
    put("sdk", "unreadable", start + deliver(1, b"event"))
    put("sdk", "erase", start + erase + published + framed((4, message((1, 1), (2, 201), (3, "an-id"), (4, 1), (5, "network"),
                                                                      (6, 2), (7, bytes(32))))))
    put("sdk", "too early", deliver(1, packed) + start)
    for e in vectors("event")["events"][::4]:
        put("sdk", "deliver " + e["topic"], start + deliver(1, bytes.fromhex(e["packed"])))

    ready, one = bytes([1, 1, 9, 8, 0]), bytes([1, 1, 2, 0, 0])

    def raw(m):
        return b"\x00" + len(m).to_bytes(2, "big") + m

    put("delivery", "lanes", ready + b"\x07" + bytes([2, 0, 0] * 4) + b"\x08\x46\x07" + bytes([2, 0, 0] * 4) + b"\x08\x0f")
    put("delivery", "in order", one + b"\x07" + bytes([2, 0, 0, 8] * 5))
    put("delivery", "retry", ready + b"\x07" + bytes([2, 0, 9, 2, 0, 1, 8, 0x74, 255, 0x17, 2, 0, 0, 8, 0xF]))
    put("delivery", "reject", ready + b"\x07" + bytes([2, 0, 10, 2, 0, 2, 8, 0x1b, 1, 0x0b, 2, 7, 2, 0, 0, 8, 0xf]))
    put("delivery", "deaths", (ready + b"\x07\x05\x74\xff\x17\x07") * 8 + b"\x08")
    put("delivery", "publish", ready + bytes([9, 2]) + b"{}" + bytes([1, 10, 0, 10, 1]))
    put("delivery", "words", ready + raw(message((4, message((1, "warn"), (2, "text"))))) + raw(message((5, b""))) + b"\x0d\x0c")
    put("delivery", "drain", ready + b"\x07\xfe\x02\x00\x00\x02\x00\x00\x08\x05\x08")
    put("delivery", "unreadable", ready + raw(b"\xff\xff"))


# ---- protocol state ----

def node():
    up = bytes([0x0E, 0, 0x06, 0])  # the first that the node dialled takes its call
    dial_ut, hello = bytes([0x01, 1]), bytes([0x26, 0])
    ut = dial_ut + hello
    work = bytes([2, 3])
    put("node", "dialled", b"\x00" + up + bytes([0x07, 0, 2, 0, 1, 0x08, 0, 0, 0x08, 0, 1]) + work)
    put("node", "dials in", b"\x00" + ut + bytes([0x27, 0, 2, 2, 3, 0x28, 0, 0, 0x28, 0, 1, 0x28, 0, 2]) + work)
    put("node", "fork", b"\x00" + ut + bytes([0x27, 0, 1, 6, 0x28, 0, 0, 2, 0x28, 0, 6, 2, 0x28, 0, 7]) + work)
    put("node", "gap", b"\x00" + ut + bytes([0x27, 0, 1, 2, 0x28, 0, 2]) + work + bytes([0xF0]) + work)
    put("node", "not ours", b"\x00" + ut + bytes([0x27, 0, 1, 4, 0x28, 0, 4, 0x28, 0, 0x80]) + work)
    put("node", "publishes", b"\x00" + ut + bytes([0x04, 2, 0x14, 2, 0x2A, 0, 0x0C, 255, 3, 0x2B, 0, 0, 2, 0x24, 2, 3, 0x2B, 0, 1, 2]))
    put("node", "stranger", b"\x00" + bytes([0x01, 2, 0x26, 0, 0x28, 0, 0, 0x01, 0x42, 0x36, 0]) + work)
    put("node", "notes", b"\x00" + ut + bytes([0x2D, 0, 0xFE, 2, 0x2D, 0, 1, 2, 5, 2, 5, 0]) + work + bytes([0x50]))
    put("node", "refusals", b"\x00" + ut + b"".join(bytes([0x2C, 0, code]) for code in range(16)) + bytes([0x2C, 0, 0x8A]))
    put("node", "blocked", b"\x01" + ut + bytes([5, 7]) + work + bytes([0x28, 0, 0, 5, 3]) + ut + work)
    put("node", "trouble", b"\x00" + ut + bytes([0x04, 2, 0x2E, 1, 0x14, 2, 0x2E, 3, 0x2E, 5, 0x2E, 7, 0xF0, 0xF0, 0xF0]) + work)
    put("node", "long", b"\x00" + up + ut + bytes([0x27, 0, 1, 2, 0x28, 0, 0, 0x28, 0, 2, 2, 3, 0x04, 2, 0x14, 2, 0x24, 2]) +
        bytes([0x2A, 0, 0x2C, 255, 0, 3, 3, 0x2A, 0, 0x0D, 255, 3, 0x2B, 0, 0, 2, 0x2D, 0, 0xFE, 2, 0x07, 0, 2, 0, 1, 0x08, 0, 0, 2]) +
        bytes([0xF0, 0xF0, 0x2F, 0, 0x2C, 0, 0x49, 0x5, 6, 0x5, 3, 2, 0x50, 0x01, 1, 0x36, 0, 0x38, 0, 1]) + work * 4)
    again = bytes([1, 1]) + b"".join(bytes([wire << 4 | 6, 0, wire << 4 | 10, 0, 0x0C, 255]) for wire in (1, 2, 3))
    put("node", "asks in new sessions", b"\x00" + bytes([4, 2]) + again * 6 + work * 8)
    put("node", "full", b"\x01" + ut + bytes([0x27, 0, 1, 2, 0x28, 0, 0, 0xF2, 0xF0, 0x28, 0, 0, 2, 0x2F, 0]))


# ---- HTTP, settings, mappings, EWP ----

def http(event, packed, headers, data):
    def request(who, how, text, body=""):
        head = f"{text} HTTP/1.1\r\nHost: localhost\r\n"
        if body:
            head += f"Content-Length: {len(body.encode())}\r\n"
        return bytes([who, how]) + f"{head}\r\n{body}".encode()

    paths = re.findall(r'\{"(GET|POST|DELETE)", "([^"]+)"', (ROOT / "node/api/route.c").read_text())
    for method, path in paths:
        filled = path.replace("{plugin}", "registrar").replace("{place}", "7.0").replace("{source}", "ut.ee")
        filled = filled.replace("{member}", "rug.nl").replace("{id}", "a%2Fb%20c").replace("{topic}", "course.offering")
        body = '{"reason": "a reason"}' if method != "GET" and "events" not in path else ""
        put("api", f"{method} {path}", request(0, 0, f"{method} {filled}", body))
        put("route", f"{method} {path}", f"{method}\n{filled}\n7.0\napplication/cloudevents+json; charset=utf-8")
    for host in ("localhost", "127.0.0.1:4848", "[::1]:1", "evil.example"):
        put("route", f"host {host}", f"GET\n{host}\n1.\ntext/plain")
    begin = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
    post = f"{begin}application/cloudevents+json\r\n"
    for kind, body in (("application/cloudevents-batch+json", f"[{event},{event}]".encode()), ("application/cloudevents+protobuf", packed),
                       ("application/cloudevents-batch+protobuf", field(1, packed) * 2)):
        put("api", f"publish {kind[23:]}", b"\x00\x00" + f"{begin}{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    attributes = "".join(f"ce-{line}\r\n" for line in headers.splitlines())
    put("api", "publish binary", b"\x00\x00" + f"{begin}application/json\r\n{attributes}Content-Length: {len(data.encode())}\r\n\r\n{data}".encode())
    put("api", "publish", b"\x01\x00" + f"{post}Content-Length: {len(event.encode())}\r\n\r\n{event}".encode())
    put("api", "chunked", b"\x01\x00" + f"{post}Transfer-Encoding: chunked\r\n\r\n{len(event.encode()):x}\r\n{event}\r\n0\r\n\r\n".encode())
    put("api", "full", b"\x01\x02" + f"{post}Content-Length: {len(event.encode())}\r\n\r\n{event}".encode())
    put("api", "unblock", request(0, 0, "DELETE /v1/peers/rug.nl/block"))
    put("api", "page", request(2, 0, "GET /v1/events?after=0.0&limit=10&source=ut.ee&topic=course.*&audience=network&data=true"))
    put("api", "two", request(3, 1, "GET /livez") + b"HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
    put("api", "stream", bytes([2, 0]) + b"GET /v1/events/stream HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 3.0\r\n\r\n")
    put_dictionary("api", [f"{m} {p} HTTP/1.1" for m, p in paths] + [
        "\\x0d\\x0a", "Host: localhost\\x0d\\x0a", "Content-Length: ", "Content-Type: application/cloudevents+json\\x0d\\x0a",
        "Content-Type: application/cloudevents-batch+json\\x0d\\x0a", "Content-Type: application/cloudevents+protobuf\\x0d\\x0a",
        "Transfer-Encoding: chunked\\x0d\\x0a", "Expect: 100-continue\\x0d\\x0a", "Last-Event-ID: ", "ce-id: ", "ce-type: ",
        "?after=", "&limit=", "&source=", "&topic=", "&subject=", "&audience=", "&data=true", "%2F", "%00", "ut.ee", "rug.nl"])
    put_dictionary("route", [p for _, p in paths] + ["GET", "HEAD", "POST", "DELETE", "%2F", "%00", "%C3%A9", "charset=utf-8",
                                                     "application/json", "application/cloudevents+json"])


def settings():
    anchor = "8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101"
    whole = f"""member: ut.ee
state: /var/lib/enlight
trust:
  anchor: {anchor}
  roster: roster.note
store: {{url: "sqlite:store.db", disk_limit: 20GiB, reserve: 512MiB}}
link: {{listen: "tcp://*:4847"}}
api: {{socket: api.sock, loopback: "127.0.0.1:4848"}}
peers: {{blocked: [rug.nl], quota: 1GiB}}
access:
  - user: sis
    publish: [course.*]
    read: ["*"]
  - {{uid: 1000, operator: true}}
plugins:
  - name: registrar
    command: [enlight-sql]
    topics: [course.*, mobility.*]
    settings: {{mapping: registrar.yaml, "a b": [1, {{c: d}}]}}
    from: now
    deadline: 30s
"""
    table = (ROOT / "node/config.c").read_text()
    words = re.findall(r'\{"([a-z_]+)", SETTING', table)
    put("config", "least", f"member: ut.ee\ntrust: {{anchor: {anchor}}}\n")
    put("config", "whole", whole)
    put("config", "twice", f"member: ut.ee\nmember: ut.ee\nbogus: &a 1\ntrust: *a\n--- \n")
    put("config", "odd", "? [a]\n: !!str b\nmember: |\n  ut.ee\ntrust: \"\\u0000\"\n<<: {}\n")
    put_dictionary("config", [w + ": " for w in words] + ["- ", "{", "}", "[", "]", ": ", "\\x0a  ", "|\\x0a", "&a ", "*a", "!!str ",
                                                         "20GiB", "30s", "true", "---\\x0a", "ut.ee", anchor, "sqlite:", "tcp://"])

    readme = (ROOT / "plugins/sql/README.md").read_text()
    mapping = next(m for m in re.findall(r"```yaml\n(.*?)```", readme, re.S) if m.startswith("connection"))
    put("sql", "readme", mapping)
    topics = [e["topic"] for e in vectors("event")["events"]]
    for topic in topics[::3]:
        put("sql", topic, f"connection: x\ntables:\n  - topic: {topic}\n    table: t\n    revision: r\n"
            "    key: {s: source, id: subject}\n    columns: {t: time, a: audience, i: id}\n")
    put_dictionary("sql", topics + [": ", "{", "}", "[", "]", "\\x0a    ", "data.", "[0]", "[lang=en]", ".value", " | ", ".number", "source",
                                    "subject", "revision", "connection", "done", "tables", "topic", "table", "key", "columns", "rows",
                                    "each", "withdrawn", "erased", "delete", "blank", "from", "values", "otherwise", "personal",
                                    "courseId", "title", "credits", "runs", "runId", "student", "names", "family", "mobilityId"])


def ewp():
    words = set()
    for path in sorted((ROOT / "tests/data/ewp").glob("*.xml")):
        text = path.read_text()
        words |= set(re.findall(r"</?([A-Za-z-]+(?::[A-Za-z-]+)?)", text))
        for who in range(3):
            put("ewp", f"{path.stem} {who}", bytes([who]) + text.encode())
        namespaces = re.findall(r'xmlns(?::\w+)?="[^"]+"', text)
        root = re.search(r"<([A-Za-z][\w:-]*)", text[text.index("?>") + 2:] if "?>" in text else text).group(1)
        put("ewp", f"{path.stem} empty", f"\x00<{root} {' '.join(namespaces)}/>")
    put("ewp", "doctype", '\x00<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    put_dictionary("ewp", [f"<{w}>" for w in words] + [f"</{w}>" for w in words] + [
        " xml:lang=\\\"en\\\"", "<![CDATA[", "]]>", "<!--", "-->", "&amp;", "&#0;", " xmlns=\\\"", "2026-11-23", "2026"])


link()
examples = events()
notes()
plugins()
node()
http(*examples)
settings()
ewp()
