#!/usr/bin/python3
"""plugin - a plugin that speaks the protocol by hand and does what a test tells it, well or badly.

Its settings: `done` (file to which each event it has done is appended, a JSON object a line) and `rules`: a list of objects, of which
the first that fits an event's subject (a regular expression, `subject`) says what to do: `act` is done, retry, reject, crash, hang,
silent (no Result, other events go on). `unless` names a file; while it is there the rule does not hold. `window`, `order`, `at_start` (crash, garbage,
flood, leak, hang) and `topics` are about the whole plugin. Run without arguments by a node; the folder of compiled contracts is in PYTHONPATH."""

import json
import os
import re
import sys
import threading
import time

_writing = threading.Lock()


def read_frame(kind):
    length = shift = 0
    while True:
        byte = sys.stdin.buffer.read(1)
        if not byte:
            sys.exit(0)
        length |= (byte[0] & 127) << shift
        shift += 7
        if not byte[0] & 128:
            return kind.FromString(sys.stdin.buffer.read(length))


def write_frame(frame):
    data, length = frame.SerializeToString(), b""
    n = len(data)
    while n > 127:
        length += bytes([n & 127 | 128])
        n >>= 7
    with _writing:
        sys.stdout.buffer.write(length + bytes([n]) + data)
        sys.stdout.buffer.flush()


def beat(kind, seconds):
    """Signs of life from the side, so that one that hangs is found by its deadline alone."""
    frame = kind()
    frame.beat.SetInParent()
    while True:
        time.sleep(seconds)
        write_frame(frame)


def misbehave(how):
    if how == "crash":
        os.abort()
    if how == "garbage":
        sys.stdout.buffer.write(b"\xff" * 100)
        sys.stdout.buffer.flush()
        time.sleep(3600)
    if how == "flood":
        for number in range(20000):
            print(f"line {number} " + "x" * 2000, file=sys.stderr)
    if how == "leak":
        held = []
        while True:
            held.append(bytearray(1 << 20))
    if how == "hang":
        time.sleep(3600)


def rule_of(settings, subject):
    for rule in settings.get("rules", []):
        if re.search(rule["subject"], subject) and not os.path.exists(rule.get("unless", "/nonexistent")):
            return rule["act"]
    return "done"


def main():
    from enlight.log.v1 import log_pb2 as log
    from enlight.plugin.v1 import plugin_pb2 as proto

    start = read_frame(proto.ToPlugin).start
    settings = json.loads(start.settings or "{}")
    misbehave(settings.get("at_start"))
    ready = proto.FromPlugin()
    ready.ready.protocol = 1
    ready.ready.order = settings.get("order", "lanes")
    ready.ready.window = settings.get("window", 16)
    ready.ready.version = "test"
    ready.ready.topics.extend(settings.get("topics", []))
    write_frame(ready)
    if settings.get("beat", True):
        threading.Thread(target=beat, args=(proto.FromPlugin, start.beat_ms / 3000), daemon=True).start()
    for number, event in enumerate(settings.get("publish", []), 1):
        frame = proto.FromPlugin()
        frame.publish.number = number
        frame.publish.event = json.dumps(event).encode()
        write_frame(frame)
    done = open(settings["done"], "a") if "done" in settings else None

    def note(**what):
        if done:
            done.write(json.dumps(what) + "\n")
            done.flush()
            os.fsync(done.fileno())

    while True:
        frame = read_frame(proto.ToPlugin)
        answer = proto.FromPlugin()
        if frame.HasField("drain"):
            note(drained=True)
            sys.exit(0)
        if frame.HasField("published"):
            note(published=frame.published.number, status=frame.published.status,
                 problems=[[p.place, p.rule] for p in frame.published.problems])
            continue
        if frame.HasField("erase"):
            note(erased=list(frame.erase.ids), person=frame.erase.person)
            answer.result.number, answer.result.outcome = frame.erase.number, "done"
            write_frame(answer)
            continue
        if not frame.HasField("deliver"):
            continue
        deliver = frame.deliver
        event = log.Event.FromString(deliver.event)
        act = rule_of(settings, event.subject)
        misbehave(act)
        if act == "silent":
            continue
        if act == "done":
            note(source=deliver.source, id=event.id, subject=event.subject, revision=event.revision, sequence=deliver.sequence,
                 attempt=deliver.attempt, settled=deliver.settled)
        answer.result.number, answer.result.outcome = deliver.number, act
        if act != "done":
            answer.result.reason = f"told to {act}"
        if act == "retry":
            answer.result.retry_after_ms = settings.get("retry_after_ms", 50)
        write_frame(answer)


if __name__ == "__main__":
    main()
