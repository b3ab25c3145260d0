"""What a node refuses to publish: with a clear error, at the right place, and without a trace in the store."""

import base64
import copy
import json
import os

import harness
from harness import check, equal
from harness.node import Network, course, nomination

JSON = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
PROTOBUF = "application/cloudevents-batch+protobuf"


def merged(old, new):
    """`old` with what `new` changes; None takes away."""
    return {name: value for name, value in {**old, **new}.items() if value is not None}


def changed(event, data=None, **attributes):
    """A copy of an event with other attributes and other fields of its data."""
    return merged(copy.deepcopy(event), {"data": merged(event["data"], data or {}), **attributes})


GOOD = course("ut.ee")
PERSONAL = nomination("ut.ee", "ugent.be")

# (what is wrong, the event, status, place that the problem names)
EVENTS = [
    ("a topic nobody knows", changed(GOOD, type="eu.enlight.course.offring.v1"), 422, "/type"),
    ("a type that is not ours", changed(GOOD, type="com.example.course"), 422, "/type"),
    ("no type", changed(GOOD, type=None), 400, "/type"),
    ("no subject", changed(GOOD, subject=None), 422, "/subject"),
    ("no audience", changed(GOOD, enlightaudience=None), 422, "/enlightaudience"),
    ("a missing field", changed(GOOD, data={"title": None}), 422, "/data/title"),
    ("a missing part of a field", changed(GOOD, data={"title": [{"lang": "en"}]}), 422, "/data/title/0/value"),
    ("an unknown field", changed(GOOD, data={"tilte": []}), 422, "/data/tilte"),
    ("a code that is not of the list", changed(GOOD, data={"iscedF": "06133"}), 422, "/data/iscedF"),
    ("a level that does not exist", changed(GOOD, data={"eqfLevel": "9"}), 422, "/data/eqfLevel"),
    ("a date that does not exist", changed(GOOD, data={"runs": [{"runId": "r", "start": "2026-02-30"}]}), 422,
     "/data/runs/0/start"),
    ("an end before its beginning",
     changed(GOOD, data={"runs": [{"runId": "r", "start": "2026-09-01", "end": "2026-08-31"}]}), 422, "/data/runs/0/end"),
    ("a number in place of a text", changed(GOOD, data={"code": 7}), 422, "/data/code"),
    ("a subject of another family", changed(GOOD, subject="mobility/1"), 422, "/subject"),
    ("a subject that is not the data's", changed(GOOD, subject="course/other"), 422, "/data/courseId"),
    ("another member's name", changed(GOOD, source="ugent.be"), 403, "/source"),
    ("another member's object", changed(PERSONAL, data={"sending": {"heiId": "rug.nl"}}), 403, "/source"),
    ("personal data to the whole network", changed(PERSONAL, enlightaudience="network"), 422, "/enlightaudience"),
    ("an audience that is not in the roster", changed(GOOD, enlightaudience="ugent.be,uu.se"), 422, "/enlightaudience"),
    ("an audience that is no handle", changed(GOOD, enlightaudience="Ghent"), 422, "/enlightaudience"),
    ("a revision ahead of the next", changed(GOOD, enlightrevision=2), 409, "/enlightrevision"),
    ("a revision that is none", changed(GOOD, enlightrevision=0), 422, "/enlightrevision"),
    ("a time that is none", changed(GOOD, time="yesterday"), 422, "/time"),
    ("an id with a blank", changed(GOOD, id="a b"), 422, "/id"),
    ("an event above the limit", changed(GOOD, data={"description": [{"lang": "en", "value": "x" * 200_000}]}), 413, ""),
]

TEXT = json.dumps(GOOD).encode()
# (what is wrong, media type, body, status)
BODIES = [
    ("JSON cut short", JSON, TEXT[:-1], 400),
    ("JSON with something behind it", JSON, TEXT + b"}", 400),
    ("a name twice", JSON, TEXT[:-1] + b', "id": "x"}', 400),
    ("bytes that are not UTF-8", JSON, TEXT.replace(b"Game Theory", b"Game \xff\xfe"), 400),
    ("a surrogate alone", JSON, TEXT.replace(b"Game Theory", b"Game \\ud800"), 400),
    ("a NUL in a text", JSON, TEXT.replace(b"Game Theory", b"Game \\u0000"), 400),
    ("very deep JSON", JSON, b"[" * 100_000, 413),
    ("nothing", JSON, b"", 400),
    ("a list where one event belongs", JSON, b"[" + TEXT + b"]", 400),
    ("one event where a list belongs", BATCH, TEXT, 400),
    ("protobuf cut short", PROTOBUF, b"\x0a\x20\x0a\x05", 400),
    ("protobuf that is text", PROTOBUF, TEXT, 400),
    ("protobuf with a text that is not UTF-8", PROTOBUF, b"\x0a\x0a\x0a\x03a\xffb\x12\x03ut.", 400),
    ("a media type of another kind", "text/plain", TEXT, 415),
    ("no media type", None, TEXT, 415),
    ("a request of five megabytes", JSON, b" " * (5 << 20), 413),
]


def nothing_was_written(node):
    """Neither events nor channels, but for the node's own trail; and the next event is the first."""
    equal(node.events(), [], "events in the store")
    trail = (node.member.handle, node.member.handle)
    channels = [(c["publisher"], c["audience"]) for c in node.ask("/v1/channels")["channels"]]
    equal([channel for channel in channels if channel != trail], [], "channels")


def check_problem(answer, status, what):
    equal(answer.status, status, f"{what}: status ({answer})")
    equal(answer.headers["Content-Type"], "application/problem+json", f"{what}: media type")
    equal(answer.json["status"], status, f"{what}: status in the problem")
    check(answer.json["title"], f"{what}: the problem has a title", answer)


def test_events():
    """An event that breaks a rule is refused with the place of what is wrong, and nothing is written"""
    node = Network(["ut.ee", "ugent.be", "rug.nl"]).start("ut.ee")["ut.ee"]
    trouble = []
    for what, event, status, place in EVENTS:
        try:
            answer = node.post(event)
            check_problem(answer, status, what)
            if place:
                check(any(pointer == place for pointer, _ in answer.errors), f"{what}: {place} is named", answer)
        except harness.Failure as failure:
            trouble.append(str(failure))
    check(not trouble, f"{len(trouble)} of {len(EVENTS)} cases", *trouble)
    nothing_was_written(node)
    equal(node.publish(GOOD)[0]["sequence"], 1, "the good event's sequence")


def test_bodies():
    """A request that cannot be read is refused, whatever is wrong with its bytes, and nothing is written"""
    node = Network(["ut.ee", "ugent.be"]).start("ut.ee")["ut.ee"]
    trouble = []
    for what, media_type, body, status in BODIES:
        try:
            answer = node.request("POST", "/v1/events", body, {"Content-Type": media_type} if media_type else {})
            check_problem(answer, status, what)
        except harness.Failure as failure:
            trouble.append(str(failure))
    check(not trouble, f"{len(trouble)} of {len(BODIES)} cases", *trouble)
    nothing_was_written(node)


def test_all_or_nothing():
    """One bad event among good ones, and none is published; the problem says which one"""
    node = Network(["ut.ee", "ugent.be"]).start("ut.ee")["ut.ee"]
    events = [course("ut.ee") for _ in range(5)]
    events[3]["data"]["title"] = []
    answer = node.post(events)
    check_problem(answer, 422, "a batch")
    check(all(pointer.startswith("/3/data/title") for pointer, _ in answer.errors), "the fourth is named", answer)
    nothing_was_written(node)


def test_ids_and_revisions():
    """An id is used once, revisions count up, and a decision must name the last one"""
    network = Network(["ut.ee", "ugent.be"]).start()
    node, partner = network["ut.ee"], network["ugent.be"]
    first = nomination("ut.ee", "ugent.be")
    equal(node.publish(first)[0]["revision"], 1, "the first revision")
    equal(node.post(first).status, 200, "the same again")
    unchanged = changed(first, id="another")
    equal((node.post(unchanged).status, node.publish(unchanged)[0]["state"]), (200, "unchanged"), "the same data again")
    check_problem(node.post(changed(first, data={"iscedF": None, "eqfLevel": "6"})), 409, "its id with other data")
    second = changed(first, id="second", data={"eqfLevel": "6"})
    for revision in (1, 3):
        answer = node.post(changed(second, enlightrevision=revision))
        check_problem(answer, 409, f"revision {revision} after 1")
    equal(node.publish(changed(second, enlightrevision=2))[0]["revision"], 2, "the second revision")
    partner.wait_for("ut.ee", "ugent.be", 2)
    shown = partner.events(source="ut.ee")

    def decision(event_id, revision, digest):
        return {"specversion": "1.0", "id": event_id, "source": "ugent.be", "type": "eu.enlight.mobility.decision.v1",
                "subject": first["subject"], "time": "2026-11-24T09:30:00Z", "enlightaudience": "ut.ee",
                "datacontenttype": "application/json",
                "data": {"source": "ut.ee", "topic": "mobility.nomination", "subject": first["subject"],
                         "revision": str(revision), "digest": base64.b64encode(bytes.fromhex(digest)).decode(),
                         "verdict": "approve"}}

    check_problem(partner.post(decision("d1", 1, shown[0]["digest"])), 409, "a decision on what has moved on")
    check_problem(partner.post(decision("d2", 2, shown[0]["digest"])), 409, "a decision on other bytes")
    equal(partner.post(decision("d3", 2, shown[1]["digest"])).status, 201, "a decision on the last revision")


def as_nobody(node, method, path, body, media_type):
    """Asks as a local user who is in no row of the access table. Returns the status."""
    program = ("import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.path.insert(0, sys.argv[1])\n"
               "from harness.node import UnixConnection\n"
               "c = UnixConnection(sys.argv[2]); c.request(sys.argv[3], sys.argv[4], body=sys.argv[5].encode() or None,"
               " headers={'Content-Type': sys.argv[6]}); print(c.getresponse().status)")
    done = harness.run(["/usr/bin/python3", "-c", program, harness.ROOT / "tests/scenarios", node.socket, method, path, body,
                        media_type])
    return int(done.stdout)


def test_access():
    """A local user whom no row of the access table names may neither publish nor read; one whom a row names may do that and no more"""
    if os.geteuid() != 0:
        return  # one cannot become somebody else
    network = Network(["ut.ee", "ugent.be"], settings="access: [{uid: 65534, read: [mobility.*]}]\n")
    network.folder.chmod(0o755)
    network["ut.ee"].folder.chmod(0o755)
    network.start("ut.ee")
    node = network["ut.ee"]
    node.socket.chmod(0o666)  # who may open the socket is the system's business, here it is the table's
    text = json.dumps(GOOD)
    equal(as_nobody(node, "POST", "/v1/events", text, JSON), 403, "publishing")
    equal(as_nobody(node, "GET", "/v1/events", "", ""), 200, "reading")
    for path in ("/v1/peers", "/v1/channels"):
        equal(as_nobody(node, "GET", path, "", ""), 403, path)
    node.publish([course("ut.ee"), nomination("ut.ee", "ugent.be")])
    node.stop()
    node.configuration.write_text(node.configuration.read_text().split("access:")[0])
    node.start()
    node.socket.chmod(0o666)
    equal(as_nobody(node, "GET", "/v1/events", "", ""), 403, "reading without a row")
    equal(as_nobody(node, "POST", "/v1/events", text, JSON), 403, "publishing without a row")
    equal(as_nobody(node, "GET", "/livez", "", ""), 200, "health")


if __name__ == "__main__":
    harness.main()
