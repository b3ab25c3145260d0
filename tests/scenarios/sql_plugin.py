#!/usr/bin/python3
"""enlight-sql on real databases: driven over the plugin protocol, without a node; what it did is asked of the database."""

import hashlib
import importlib
import json
import os
import random
import select
import signal
import subprocess
import sys

import harness
from google.protobuf import json_format
from harness import check, databases, equal, peer
from harness.node import SANITIZER, uuid7

PROGRAM = harness.BUILD / "plugins" / "sql" / "enlight-sql"
ANSWER_S = 60

TABLES = """
CREATE TABLE joint_course (university VARCHAR(63) NOT NULL, course_id VARCHAR(64) NOT NULL, title VARCHAR(80) NOT NULL,
    ects NUMERIC(6,2), contact_hours INTEGER, code VARCHAR(60), published TIMESTAMP NULL, revision BIGINT NOT NULL,
    PRIMARY KEY (university, course_id), CHECK (title <> 'poison'));
CREATE TABLE joint_course_run (university VARCHAR(63) NOT NULL, course_id VARCHAR(64) NOT NULL, run_id VARCHAR(64) NOT NULL,
    position INTEGER NOT NULL, starts DATE, language VARCHAR(8), places INTEGER, PRIMARY KEY (university, course_id, run_id),
    FOREIGN KEY (university, course_id) REFERENCES joint_course (university, course_id));
CREATE TABLE incoming_student (university VARCHAR(63) NOT NULL, mobility_id VARCHAR(64) NOT NULL, family_name VARCHAR(80),
    gender CHAR(1), non_standard BOOLEAN, planned_start DATE, activity VARCHAR(10) NOT NULL, cancelled_at TIMESTAMP NULL,
    revision BIGINT NOT NULL, PRIMARY KEY (university, mobility_id));
CREATE TABLE incoming_name (university VARCHAR(63) NOT NULL, mobility_id VARCHAR(64) NOT NULL, position INTEGER NOT NULL,
    given_name VARCHAR(80), PRIMARY KEY (university, mobility_id, position))
"""

ESI = "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887"

MAPPING = """\
connection: {connection}
tables:
  - topic: course.offering
    table: joint_course
    key: {{university: source, course_id: data.courseId}}
    revision: revision
    columns:
      title: data.title[lang=en].value | data.title[0].value
      ects: data.credits[scheme=ects].value
      code: data.code
      published: time
    rows:
      - {{table: joint_course_run, each: data.runs, key: {{run_id: runId}},
         columns: {{position: .number, starts: start, language: language, places: places}}}}
  - topic: mobility.nomination
    table: incoming_student
    key: {{university: source, mobility_id: subject}}
    revision: revision
    columns:
      family_name: data.student.names[0].family
      gender: {{from: data.student.gender, values: {{FEMALE: F, MALE: M}}, otherwise: X}}
      non_standard: data.nonStandardPeriod
      planned_start: data.plannedStart
      activity: {{from: data.activityType, values: {{student-studies: SMS}}}}
    rows:
      - {{table: incoming_name, each: data.student.names, key: {{position: .number}}, columns: {{given_name: given}}}}
    withdrawn: cancelled_at
    erased: {erased}
"""


def plugin_messages():
    peer.messages()
    return importlib.import_module("enlight.plugin.v1.plugin_pb2")


# --- events ---

def event(topic, subject, data, revision=1, id=None):
    """A packed Event of a topic, from its data as JSON."""
    family, kind = topic.split(".")
    message = {"course.offering": ("course", "CourseOffering"), "mobility.nomination": ("mobility", "Nomination"),
               "course.withdrawal": ("decision", "Withdrawal"), "mobility.withdrawal": ("decision", "Withdrawal")}[topic]
    packed = json_format.ParseDict(data, getattr(peer.event_messages(message[0]), message[1])()).SerializeToString()
    return peer.log().Event(salt=os.urandom(16), id=id or uuid7(), type=f"eu.enlight.{topic}.v1", subject=subject,
                            time="2026-11-23T09:30:00Z", revision=revision, data=packed, data_class="public",
                            keep_until="2036-11-23").SerializeToString()


def course(number, revision=1, title="Masinõpe €", id=None, **data):
    runs = data.pop("runs", [{"runId": "R1", "start": "2026-09-14", "language": "en", "places": 20}, {"runId": "R2"}])
    data = {"courseId": f"C{number}", "title": [{"lang": "et", "value": title}], "runs": runs,
            "credits": [{"scheme": "ects", "value": "7.5"}], **data}
    return event("course.offering", f"course/C{number}", data, revision, id)


def nomination(number, revision=1, **data):
    student = {"names": [{"given": "Kadri", "family": "O'Hara \"; --"}, {"given": "Кадри", "family": "x"}], "gender": "FEMALE",
               "esi": ESI, **data.pop("student", {})}
    data = {"mobilityId": f"M{number}", "student": student, "sending": {"heiId": "ut.ee"}, "receiving": {"heiId": "ugent.be"},
            "receivingAcademicYear": "2026/2027", "activityType": "student-studies", **data}
    return event("mobility.nomination", f"mobility/M{number}", data, revision)


def withdrawal(subject, topic, revision):
    return event(f"{topic.split('.')[0]}.withdrawal", subject,
                 {"topic": topic, "revision": revision, "reason": "cancelled"})


def letting_go():
    """The id of one of the events, one in 256, with which the plugin forgets old ones."""
    while True:
        id = uuid7()
        if hashlib.blake2b(f"ugent.be/registrar\0ut.ee\0{id}\0".encode(), digest_size=32).digest()[0] == 0:
            return id


# --- the plugin ---

class Plugin:
    """enlight-sql as a node runs it."""

    def __init__(self, folder, expect_ready=True, beat_ms=5000, name="registrar", mapping="mapping.yaml"):
        self.pb = plugin_messages()
        self.number = self.sequence = self.beats = 0
        self.results, self.logs, self.buffer = {}, [], b""
        self.errors = open(folder / "stderr", "a+")
        self.process = subprocess.Popen([str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        harness.at_exit(self.end)
        start = self.pb.ToPlugin()
        start.start.protocol, start.start.member, start.start.name = 1, "ugent.be", name
        start.start.settings, start.start.state = json.dumps({"mapping": mapping}), str(folder)
        start.start.beat_ms, start.start.folder = beat_ms, str(folder)
        self.send(start)
        if expect_ready:
            ready = self.read_until(lambda: self.ready)
            equal((ready.order, ready.window), ("lanes", 256), "what the plugin takes")

    ready = None

    def send(self, frame):
        data = frame.SerializeToString()
        size, prefix = len(data), b""
        while size > 127:
            prefix += bytes([size & 127 | 128])
            size >>= 7
        self.process.stdin.write(prefix + bytes([size]) + data)
        self.process.stdin.flush()

    def take(self):
        """Takes in a frame of what was read; false: there is no whole one."""
        size = shift = at = 0
        while at < len(self.buffer):
            size |= (self.buffer[at] & 127) << shift
            shift += 7
            at += 1
            if self.buffer[at - 1] < 128:
                break
        else:
            return False
        if len(self.buffer) < at + size:
            return False
        frame = self.pb.FromPlugin.FromString(self.buffer[at:at + size])
        self.buffer = self.buffer[at + size:]
        if frame.HasField("ready"):
            self.ready = frame.ready
        if frame.HasField("result"):
            self.results[frame.result.number] = frame.result
        self.beats += frame.HasField("beat")
        if frame.HasField("log"):
            self.logs.append(frame.log.text)
        return True

    def read_until(self, condition, seconds=ANSWER_S):
        def more():
            while self.take():
                pass
            if condition():
                return True
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                data = os.read(self.process.stdout.fileno(), 65536)
                check(data, f"the plugin goes on\n{self.said()}")
                self.buffer += data
            return False
        harness.wait_until(more, f"the plugin answers\n{self.said()}", seconds)
        return condition()

    def said(self):
        self.errors.seek(0)
        return self.errors.read()[-4000:] + "\n".join(self.logs)

    def hand(self, packed, source="ut.ee", audience="network", sequence=None, settled=0, incarnation=1):
        """Delivers an event; returns its number."""
        self.number += 1
        self.sequence += 1
        frame = self.pb.ToPlugin()
        d = frame.deliver
        d.number, d.source, d.audience, d.incarnation = self.number, source, audience, incarnation
        d.sequence, d.event, d.digest = sequence or self.sequence, packed, peer.leaf(packed)
        d.attempt, d.settled = 1, settled
        self.send(frame)
        return self.number

    def outcome(self, number):
        result = self.read_until(lambda: self.results.get(number))
        return (result.outcome, result.reason) if result.reason else result.outcome

    def deliver(self, packed, **where):
        return self.outcome(self.hand(packed, **where))

    def erase(self, subjects, ids=(), source="ut.ee", person=None):
        self.number += 1
        frame = self.pb.ToPlugin()
        frame.erase.number, frame.erase.source, frame.erase.audience = self.number, source, "ugent.be"
        frame.erase.sequences.extend(range(1, 2 + len(subjects)))
        if person:
            frame.erase.person = person
        frame.erase.subjects.extend(subjects)
        frame.erase.ids.extend(ids)
        self.send(frame)
        return self.outcome(self.number)

    def drain(self):
        self.send(self.pb.ToPlugin(drain=self.pb.Drain()))
        equal(self.process.wait(ANSWER_S), 0, f"it ends well\n{self.said()}")
        self.end()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        if not self.errors.closed:
            said = self.said()
            self.errors.close()
            check(not SANITIZER.search(said), "no sanitizer complains", said)


class Registrar:
    """A new database with our tables, a mapping for it, and the plugin when it is wanted."""

    def __init__(self, name, tables=TABLES, mapping=MAPPING, erased="delete"):
        self.name, self.server = name, databases.server(name)
        self.folder = harness.folder("sql")
        self.connection = self.server.new()
        self.client = databases.Client(self.connection)
        harness.at_exit(self.client.close)
        for sql in tables.split(";"):
            self.query(sql)
        self.mapping = self.folder / "mapping.yaml"
        self.mapping.write_text(mapping.format(connection=self.connection, erased=erased))

    def query(self, sql):
        return self.client.query(sql)

    def count(self, table):
        return int(self.query(f"SELECT COUNT(*) FROM {table}")[0][0])

    def wait(self, how_long):
        """How long the plugin is to wait for a lock."""
        with open(self.mapping, "a") as file:
            file.write(f"wait: {how_long}\n")

    def plugin(self, **how):
        return Plugin(self.folder, **how)


def on_each(*names):
    """Makes a test of each database; the function is given a new one."""
    def mark(function):
        for name in names or ("SQLite", "PostgreSQL", "MariaDB"):
            def test(name=name):
                function(Registrar(name))
            test.__doc__ = f"{name}: {function.__doc__}"
            test.__name__ = f"test_{function.__name__}_{name.lower()}"
            globals()[test.__name__] = test
        return function
    return mark


# --- tests ---

@on_each()
def applied(registrar):
    """an event becomes its row and rows, every type in its column, absent as NULL, once; older revisions are passed over."""
    plugin = registrar.plugin()
    again = course(1, code="LTAT'; DROP TABLE joint_course; --")
    equal(plugin.deliver(again), "done", "the first revision")
    equal(registrar.query("SELECT university, course_id, title, code, revision FROM joint_course"),
          [("ut.ee", "C1", "Masinõpe €", "LTAT'; DROP TABLE joint_course; --", "1")], "the row")
    equal(float(registrar.query("SELECT ects FROM joint_course")[0][0]), 7.5, "credits")
    check(registrar.query("SELECT published FROM joint_course")[0][0].startswith("2026-11-23 09:30:00"), "the time in UTC")
    equal(registrar.query("SELECT run_id, position, starts, language, places FROM joint_course_run ORDER BY run_id"),
          [("R1", "1", "2026-09-14", "en", "20"), ("R2", "2", None, None, None)], "the runs")

    equal(plugin.deliver(course(1, 3, "Third", credits=[], runs=[{"runId": "R3"}])), "done", "revision 3")
    equal(plugin.deliver(course(1, 2, "Second")), "done", "revision 2 comes late")
    equal(registrar.query("SELECT title, ects, code, revision FROM joint_course"), [("Third", None, None, "3")], "the row")
    equal(registrar.query("SELECT run_id FROM joint_course_run"), [("R3",)], "the runs of revision 3 alone")

    registrar.query("DELETE FROM joint_course_run")
    registrar.query("DELETE FROM joint_course")
    equal(plugin.deliver(again), "done", "the first event once more")
    equal(registrar.count("joint_course"), 0, "it does not act twice")
    equal(plugin.deliver(course(1), source="uu.se"), "done", "another's course of the same ID")
    equal(registrar.query("SELECT university FROM joint_course"), [("uu.se",)], "the row")

    equal(plugin.deliver(nomination(1, nonStandardPeriod=False, plannedStart="2027-02-08")), "done", "a nomination")
    equal(registrar.query("SELECT mobility_id, family_name, gender, planned_start, activity FROM incoming_student"),
          [("mobility/M1", "O'Hara \"; --", "F", "2027-02-08", "SMS")], "its row")
    check(registrar.query("SELECT non_standard FROM incoming_student")[0][0] in ("0", "f"), "false")
    equal(registrar.query("SELECT position, given_name FROM incoming_name ORDER BY position"), [("1", "Kadri"), ("2", "Кадри")],
          "rows of another script")
    equal(registrar.count("enlight_done"), 5, "what was applied is kept")
    plugin.drain()


@on_each()
def withdrawn(registrar):
    """a withdrawal takes row and rows away, or dates them; what was older stays away, what is newer comes back."""
    plugin = registrar.plugin()
    plugin.deliver(course(1, 2))
    equal(plugin.deliver(withdrawal("course/C1", "course.offering", 2), source="uu.se"), "done", "of another publisher")
    equal(plugin.deliver(withdrawal("course/C1", "course.offering", 1)), "done", "of an older revision")
    equal((registrar.count("joint_course"), registrar.count("joint_course_run")), (1, 2), "rows after both")
    equal(plugin.deliver(withdrawal("course/C1", "course.offering", 2)), "done", "of the last revision")
    equal((registrar.count("joint_course"), registrar.count("joint_course_run")), (0, 0), "rows after it")
    equal(plugin.deliver(course(1, 2, "another channel"), audience="ugent.be"), "done", "the withdrawn revision, late")
    equal(registrar.count("joint_course"), 0, "rows after that")
    equal(plugin.deliver(course(1, 3, "New")), "done", "a new revision")
    equal(registrar.query("SELECT title FROM joint_course"), [("New",)], "the row is back")

    plugin.deliver(nomination(1))
    equal(plugin.deliver(withdrawal("mobility/M1", "mobility.nomination", 1)), "done", "a nomination's")
    check(registrar.query("SELECT cancelled_at FROM incoming_student")[0][0].startswith("2026-11-23 09:30:00"), "the time")
    equal(registrar.count("incoming_name"), 2, "rows of what is dated")
    plugin.deliver(nomination(1, 2))
    equal(registrar.query("SELECT cancelled_at, revision FROM incoming_student"), [(None, "2")], "nominated again")
    plugin.drain()


@on_each()
def erased(registrar):
    """an erasure deletes the rows of its subjects, or empties what is personal in them, and keeps the event from coming again."""
    plugin = registrar.plugin()
    event_id = uuid7()
    plugin.deliver(course(1))
    plugin.deliver(nomination(1))
    plugin.deliver(nomination(2))
    plugin.deliver(nomination(1), source="uu.se")
    equal(plugin.erase(["mobility/M1", "mobility/M9"], [event_id]), "done", "erasure")
    equal(registrar.query("SELECT university, mobility_id FROM incoming_student ORDER BY university"),
          [("ut.ee", "mobility/M2"), ("uu.se", "mobility/M1")], "what is left")
    equal((registrar.count("incoming_name"), registrar.count("joint_course")), (4, 1), "rows of others")
    equal(plugin.deliver(course(7, id=event_id)), "done", "an event that was erased")
    equal(registrar.count("joint_course"), 1, "it does nothing")
    plugin.drain()

    registrar.mapping.write_text(MAPPING.format(connection=registrar.connection, erased="blank"))
    plugin = registrar.plugin()
    equal(plugin.erase(["mobility/M2"]), "done", "blanking")
    equal(registrar.query("SELECT family_name, gender, activity, revision FROM incoming_student WHERE university = 'ut.ee'"),
          [(None, None, "SMS", "1")], "what is left of the row")
    equal(registrar.query("SELECT DISTINCT given_name FROM incoming_name WHERE university = 'ut.ee'"), [(None,)], "and of its rows")
    plugin.drain()


@on_each()
def person_erased(registrar):
    """an erasure that knows no subject any more finds the person by a column with its identifier; where there is none it is rejected."""
    plugin = registrar.plugin()
    plugin.deliver(nomination(1))
    outcome, reason = plugin.erase([], person=ESI)
    equal((outcome, reason), ("reject", "incoming_student: has no column to find the person by, and the node no longer knows the "
                              "subjects: forget it by hand; see mapping.yaml:16"), "without a column")
    plugin.drain()

    registrar.query("ALTER TABLE incoming_student ADD COLUMN esi VARCHAR(255)")
    for erased, left in (("blank", [("ut.ee", "mobility/M1", None, None), ("ut.ee", "mobility/M2", "O'Hara \"; --", "other"),
                                    ("uu.se", "mobility/M1", "O'Hara \"; --", ESI)]),
                         ("delete", [("ut.ee", "mobility/M2", "O'Hara \"; --", "other"),
                                     ("uu.se", "mobility/M1", "O'Hara \"; --", ESI)])):
        registrar.mapping.write_text(MAPPING.format(connection=registrar.connection, erased=erased).replace(
            "      family_name:", "      esi: data.student.esi\n      family_name:"))
        plugin = registrar.plugin()
        plugin.deliver(nomination(1, 2 if erased == "blank" else 3))
        plugin.deliver(nomination(2, student={"esi": "other"}))
        plugin.deliver(nomination(1), source="uu.se")
        equal(plugin.erase([], person=ESI), "done", erased)
        equal(registrar.query("SELECT university, mobility_id, family_name, esi FROM incoming_student "
                              "ORDER BY university, mobility_id"), left, f"what is left after {erased}")
        equal(registrar.query("SELECT COUNT(*), COUNT(given_name) FROM incoming_name"),
              [("6", "4") if erased == "blank" else ("4", "4")], f"and of their names after {erased}")
        plugin.drain()


@on_each()
def without_revision(registrar):
    """a row whose revision is NULL is older than any: a withdrawal and an erasure take it, an event replaces it."""
    for sql in TABLES.replace("revision BIGINT NOT NULL", "revision BIGINT").replace("joint_course", "open_course").split(";")[:2]:
        registrar.query(sql)
    text = registrar.mapping.read_text().replace("joint_course", "open_course")
    registrar.mapping.write_text(text)
    for number in range(1, 4):
        registrar.query(f"INSERT INTO open_course (university, course_id, title) VALUES ('ut.ee', 'C{number}', 'by hand')")
        registrar.query(f"INSERT INTO open_course_run (university, course_id, run_id, position) VALUES ('ut.ee', 'C{number}', 'R1', 1)")
    plugin = registrar.plugin()
    equal(plugin.deliver(withdrawal("course/C1", "course.offering", 1)), "done", "a withdrawal")
    equal(plugin.erase(["course/C2"]), "done", "an erasure")
    equal(plugin.deliver(course(3, runs=[])), "done", "an event")
    equal(registrar.query("SELECT course_id, title, revision FROM open_course"), [("C3", "Masinõpe €", "1")], "rows")
    equal(registrar.count("open_course_run"), 0, "rows of their lists")
    plugin.drain()


@on_each()
def poisoned(registrar):
    """one bad record in a window spoils nothing else; the reason has a code and the mapping's line, and nothing of the event."""
    plugin = registrar.plugin()
    numbers = [plugin.hand(course(i, title="poison" if i == 40 else f"Course {i}")) for i in range(100)]
    outcomes = [plugin.outcome(number) for number in numbers]
    equal([i for i, outcome in enumerate(outcomes) if outcome != "done"], [40], "those not done")
    outcome, reason = outcomes[40]
    equal(outcome, "reject", "the bad one")
    check("joint_course: a constraint of the database forbids it (SQLSTATE " in reason and "mapping.yaml:4" in reason, "why", reason)
    check("poison" not in reason and "C40" not in reason and "ut.ee" not in reason, "nothing of the event is in the reason", reason)
    equal((registrar.count("joint_course"), registrar.count("enlight_done")), (99, 99), "rows")
    plugin.drain()
    check("poison" not in "\n".join(plugin.logs), "nor in the log")


@on_each()
def translated(registrar):
    """what cannot be a value of its column is rejected with table, column and line before the database is asked."""
    plugin = registrar.plugin()
    equal(plugin.deliver(nomination(1, student={"gender": "NOT_APPLICABLE"})), "done", "a code that is otherwise")
    equal(registrar.query("SELECT gender FROM incoming_student"), [("X",)], "the column")
    equal(plugin.deliver(nomination(2, activityType="student-traineeship")),
          ("reject", "incoming_student.activity has a code that the mapping does not translate (mapping.yaml:24)"), "an unknown code")
    equal(plugin.deliver(nomination(3, plannedStart="2027-02")),
          ("reject", "incoming_student.planned_start is no date with year, month and day (mapping.yaml:23)"), "half a date")
    outcome, reason = plugin.deliver(nomination(4, plannedStart="2027-02-30") if registrar.name != "SQLite" else
                                     course(4, title="poison"))
    check(outcome == "reject" and "SQLSTATE" in reason, "a date that does not exist", reason)
    equal(registrar.count("incoming_student"), 1, "rows")
    plugin.drain()


@on_each()
def fitted(registrar):
    """what a database makes of a value that does not fit: decimals are rounded, what is too large or too long is rejected; SQLite keeps all."""
    kept = registrar.name == "SQLite"
    plugin = registrar.plugin()

    def ects(value):
        return course(1, credits=[{"scheme": "ects", "value": value}])

    for what, event, column, seen in (("decimals", ects("7.129"), "ects", "7.129" if kept else "7.13"),
                                      ("too large", ects("12345.5"), "ects", "12345.5" if kept else None),
                                      ("too long", course(1, code="x" * 61), "code", "x" * 61 if kept else None)):
        outcome = plugin.deliver(event)
        check(outcome == "done" if seen else outcome[0] == "reject", what, outcome)
        equal(registrar.query(f"SELECT {column} FROM joint_course"), [(seen,)] if seen else [], what)
        registrar.query("DELETE FROM joint_course_run")
        registrar.query("DELETE FROM joint_course")
    plugin.drain()


@on_each("PostgreSQL", "MariaDB")
def database_killed(registrar):
    """a database that dies is waited for: retry while it is away, done when it is back, all rows there."""
    plugin = registrar.plugin()
    equal(plugin.deliver(course(0)), "done", "before")
    numbers = [plugin.hand(course(i)) for i in range(1, 200)]
    plugin.outcome(numbers[0])
    registrar.server.kill()
    late = [i for i, number in enumerate(numbers, 1) if plugin.outcome(number) != "done"]
    outcome, reason = plugin.deliver(course(200))
    check(outcome == "retry" and "ut.ee" not in reason, "while it is away", reason)
    registrar.server.start()
    numbers = [plugin.hand(course(i)) for i in late + [200]]
    equal({plugin.outcome(number) for number in numbers}, {"done"}, "all of them when it is back")
    registrar.client = databases.Client(registrar.connection)
    equal((registrar.count("joint_course"), registrar.count("joint_course_run")), (201, 402), "rows")
    plugin.drain()


@on_each("PostgreSQL", "MariaDB")
def row_locked(registrar):
    """a row that another holds is waited for, not for long, and holds up no other; when it is free all comes in order."""
    registrar.wait("1s")
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1)), "done", "before")
    registrar.client.begin()
    registrar.query("UPDATE joint_course SET code = 'theirs' WHERE university = 'ut.ee' AND course_id = 'C1'")
    numbers = [plugin.hand(course(i, 2)) for i in range(1, 50)]
    outcomes = [plugin.outcome(number) for number in numbers]
    equal([i for i, outcome in enumerate(outcomes, 1) if outcome != "done"], [1], "those not done")
    equal(outcomes[0][0], "retry", "the one that is held")
    registrar.client.rollback()
    equal([plugin.deliver(course(1, revision, f"Title {revision}")) for revision in (2, 3)], ["done"] * 2, "when it is free")
    equal(registrar.query("SELECT title, revision FROM joint_course WHERE course_id = 'C1'"), [("Title 3", "3")], "the row")
    equal(registrar.count("joint_course"), 49, "rows")
    plugin.drain()


@on_each("PostgreSQL", "MariaDB")
def table_locked(registrar):
    """a table that another holds is waited for some times a window, not for each of its events; when it is free all is applied."""
    registrar.wait("1s")
    plugin = registrar.plugin()
    equal(plugin.deliver(course(0)), "done", "before")
    if registrar.name == "PostgreSQL":
        registrar.client.begin()
        registrar.query("LOCK TABLE joint_course")
    else:
        registrar.query("LOCK TABLES joint_course WRITE")
    numbers = [plugin.hand(course(i)) for i in range(1, 200)]
    equal({plugin.outcome(number)[0] for number in numbers}, {"retry"}, "while it is held")
    if registrar.name == "PostgreSQL":
        registrar.client.rollback()
    else:
        registrar.query("UNLOCK TABLES")
    numbers = [plugin.hand(course(i)) for i in range(1, 200)]
    equal({plugin.outcome(number) for number in numbers}, {"done"}, "when it is free")
    equal(registrar.count("joint_course"), 200, "rows")
    plugin.drain()


@on_each("PostgreSQL")
def large(registrar):
    """a window with many rows is several transactions, and the plugin says that it is alive between its statements."""
    registrar.query("ALTER TABLE joint_course_run ADD COLUMN written_by BIGINT DEFAULT txid_current()")
    plugin = registrar.plugin(beat_ms=3)
    numbers = [plugin.hand(course(i, runs=[{"runId": f"R{j}"} for j in range(900)])) for i in range(12)]
    equal({plugin.outcome(number) for number in numbers}, {"done"}, "all of them")
    largest = registrar.query("SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM joint_course_run GROUP BY written_by) AS transactions")
    check(900 <= int(largest[0][0]) <= 4096, "rows of the largest transaction", largest)
    check(plugin.beats >= 100, "signs of life", plugin.beats)
    plugin.drain()


def test_sqlite_locked():
    """SQLite: a database that another holds is waited for"""
    registrar = Registrar("SQLite")
    registrar.wait("300ms")
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1)), "done", "before")
    registrar.query("BEGIN EXCLUSIVE")
    outcome, reason = plugin.deliver(course(2))
    check(outcome == "retry" and "busy" in reason, "while it is held", reason)
    registrar.query("ROLLBACK")
    equal(plugin.deliver(course(2)), "done", "when it is free")
    equal(registrar.count("joint_course"), 2, "rows")
    plugin.drain()


def test_sqlite_commit_refused():
    """SQLite: what the database refuses only at the commit spoils nothing that comes after it"""
    tables = TABLES.replace("code VARCHAR(60),", "code VARCHAR(60) REFERENCES campus (code) DEFERRABLE INITIALLY DEFERRED,")
    registrar = Registrar("SQLite", "CREATE TABLE campus (code VARCHAR(60) PRIMARY KEY);" + tables,
                          MAPPING.replace("{connection}", "{connection};FKSupport=1"))
    plugin = registrar.plugin()
    outcome, reason = plugin.deliver(course(1, code="nowhere"))
    check(outcome == "reject" and "constraint" in reason, "the bad one", reason)
    numbers = [plugin.hand(course(i)) for i in range(2, 6)] + [plugin.hand(course(6, code="nowhere"))]
    equal([plugin.outcome(number) if isinstance(plugin.outcome(number), str) else plugin.outcome(number)[0] for number in numbers],
          ["done"] * 4 + ["reject"], "the others")
    equal(registrar.count("joint_course"), 4, "rows")
    plugin.drain()


def test_mariadb_enum():
    """MariaDB: a value that an ENUM does not have is rejected, in the row or in one of a list's, also where the server is not strict"""
    enum = TABLES.replace("code VARCHAR(60)", "code ENUM('a', 'b')").replace("language VARCHAR(8)", "language ENUM('en', 'et')")
    registrar = Registrar("MariaDB", enum)
    registrar.query("SET GLOBAL sql_mode = ''")
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1, code="a")), "done", "a value that it has")
    for what, data in (("the row", {"code": "x"}), ("a list's row", {"runs": [{"runId": "R1", "language": "de"}]})):
        outcome, reason = plugin.deliver(course(1, 2, **data))
        check(outcome == "reject" and "a value does not fit its column (SQLSTATE 01000, code 1265)" in reason, what, reason)
    numbers = [plugin.hand(course(i, code="x" if i == 5 else "b")) for i in range(2, 9)]
    equal([i for i, number in enumerate(numbers, 2) if plugin.outcome(number) != "done"], [5], "those of a window not done")
    equal(registrar.query("SELECT code, revision FROM joint_course WHERE course_id = 'C1'"), [("a", "1")], "the row is as it was")
    equal((registrar.count("joint_course"), registrar.count("joint_course_run")), (7, 14), "rows")
    plugin.drain()


UNKNOWN = {
    "PostgreSQL": ["CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION USING ERRCODE = ''ZZ123''; END'",
                   "CREATE TRIGGER fails BEFORE INSERT ON joint_course FOR EACH ROW WHEN (NEW.code = 'odd') EXECUTE FUNCTION fails()"],
    "MariaDB": ["CREATE TRIGGER fails BEFORE INSERT ON joint_course FOR EACH ROW "
                "IF NEW.code = 'odd' THEN SIGNAL SQLSTATE 'ZZ123'; END IF"],
}


@on_each("PostgreSQL", "MariaDB")
def unknown_failure(registrar):
    """what fails in a way that nobody knows is tried again for itself; nothing else of the window waits for it."""
    for sql in UNKNOWN[registrar.name]:
        registrar.query(sql)
    plugin = registrar.plugin()
    numbers = [plugin.hand(course(i, code="odd" if i in (0, 40) else "good")) for i in range(100)]
    outcomes = [plugin.outcome(number) for number in numbers]
    equal([i for i, outcome in enumerate(outcomes) if outcome != "done"], [0, 40], "those not done")
    outcome, reason = outcomes[40]
    check(outcome == "retry" and "joint_course: the database fails (SQLSTATE ZZ123" in reason, "the odd one", reason)
    equal(plugin.deliver(course(0, code="good")), "done", "when it fails no more")
    equal(registrar.count("joint_course"), 99, "rows")
    plugin.drain()


@on_each()
def plugin_killed(registrar):
    """kill -9 of the plugin at random: what it answered is there, and everything is there once when it was handed out again."""
    events = [course(i % 100, 1 + i // 100) for i in range(600)]
    open_events, chance = list(range(len(events))), random.Random(600)
    kills = 0
    while open_events:
        plugin = registrar.plugin()
        batch = {}
        for i in open_events[:chance.randrange(100, 200)]:
            # of each object one at a time, as a node does
            if not any(j % 100 == i % 100 for j in batch.values()):
                batch[plugin.hand(events[i], sequence=i + 1)] = i
        plugin.read_until(lambda: len(plugin.results) >= min(len(batch), 1))
        if kills < 5:
            plugin.kill()
            kills += 1
        else:
            plugin.read_until(lambda: len(plugin.results) == len(batch))
        answered = {batch[number] for number, result in plugin.results.items() if result.outcome == "done"}
        for i in answered:
            revision = registrar.query(f"SELECT revision FROM joint_course WHERE course_id = 'C{i % 100}'")
            check(revision and int(revision[0][0]) >= 1 + i // 100, f"event {i} was answered and is there", revision)
        open_events = [i for i in open_events if i not in answered]
        plugin.end()
    equal(registrar.query("SELECT COUNT(*), MIN(revision), MAX(revision) FROM joint_course"), [("100", "6", "6")], "rows")
    equal((registrar.count("joint_course_run"), registrar.count("enlight_done")), (200, 600), "runs, and what was applied")


@on_each()
def forgotten(registrar):
    """what the node says will never come again is forgotten, but for withdrawals."""
    plugin = registrar.plugin()
    plugin.deliver(course(1), sequence=1)
    plugin.deliver(course(2), sequence=2, audience="ugent.be")
    plugin.deliver(withdrawal("course/C1", "course.offering", 1), sequence=3)
    plugin.deliver(course(3), sequence=250)
    equal(plugin.deliver(course(4, id=letting_go()), sequence=255, settled=250), "done", "an event that lets old ones go")
    equal(registrar.query("SELECT sequence FROM enlight_done ORDER BY sequence"), [("2",), ("3",), ("250",), ("255",)],
          "what is kept")
    plugin.drain()


@on_each()
def two_plugins(registrar):
    """two plugins with a mapping each on one database: each applies every event, once, and forgets for itself alone."""
    registrar.query("CREATE TABLE timetable (university VARCHAR(63) NOT NULL, course_id VARCHAR(64) NOT NULL, code VARCHAR(60), "
                    "revision BIGINT, PRIMARY KEY (university, course_id))")
    (registrar.folder / "timetable.yaml").write_text(f"""\
connection: {registrar.connection}
tables:
  - topic: course.offering
    table: timetable
    key: {{university: source, course_id: data.courseId}}
    revision: revision
    columns: {{code: data.code}}
""")
    plugins = [registrar.plugin(), registrar.plugin(name="timetable", mapping="timetable.yaml")]
    events = [course(1, code="A"), course(2, code="B")]
    for sequence, event in enumerate(events, 1):
        equal([plugin.deliver(event, sequence=sequence) for plugin in plugins], ["done"] * 2, "an event")
    equal(plugins[0].deliver(course(3, id=letting_go()), sequence=255, settled=200), "done", "an event that lets the first one's old ones go")
    registrar.query("DELETE FROM timetable WHERE course_id = 'C2'")
    equal([plugins[1].deliver(event, sequence=sequence) for sequence, event in enumerate(events, 1)], ["done"] * 2, "once more")
    equal(registrar.query("SELECT code FROM timetable"), [("A",)], "the second one's rows")
    equal((registrar.count("joint_course"), registrar.count("enlight_done")), (3, 3), "the first one's rows, and what is kept")
    for plugin in plugins:
        plugin.drain()


@on_each()
def misfit(registrar):
    """a mapping that does not fit the database is said with its lines; events wait until it does."""
    done = harness.run([PROGRAM, "--check", registrar.mapping])
    equal(done.stdout.strip(), f"{registrar.mapping}: good; the database has every table and column, and enlight_done will be "
          "created", "a mapping that fits")
    registrar.query("ALTER TABLE joint_course RENAME COLUMN ects TO credits")
    registrar.query("ALTER TABLE incoming_student RENAME COLUMN cancelled_at TO cancelled")
    registrar.query("DROP TABLE incoming_name")
    text = registrar.mapping.read_text()
    registrar.mapping.write_text(text.replace("withdrawn: cancelled_at", "withdrawn: activity"))
    activity = registrar.mapping.read_text().replace("activity: {from: data.activityType, values: {student-studies: SMS}}", "")
    registrar.mapping.write_text(activity)
    done = harness.run([PROGRAM, "--check", registrar.mapping], expect=78)
    equal(done.stderr.strip().split("\n"), [
        f"{registrar.mapping}:9:7: ects: the table joint_course has no such column",
        f"{registrar.mapping}:26:17: incoming_name: the database has no such table",
        f"{registrar.mapping}:27:16: activity: the column must be able to be NULL"], "what is wrong")

    registrar.mapping.write_text(text)
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1)), ("retry", "the mapping does not fit the database; the log has the lines"), "an event")
    check(any("mapping.yaml:9: ects: the table joint_course has no such column" in line for line in plugin.logs), "the log",
          *plugin.logs)
    registrar.query("ALTER TABLE joint_course RENAME COLUMN credits TO ects")
    registrar.query("ALTER TABLE incoming_student RENAME COLUMN cancelled TO cancelled_at")
    registrar.query("CREATE TABLE incoming_name (university VARCHAR(63), mobility_id VARCHAR(64), position INTEGER, "
                    "given_name VARCHAR(80))")
    equal(plugin.deliver(course(1)), "done", "when it fits")
    registrar.query("DROP TABLE joint_course_run")
    outcome, reason = plugin.deliver(course(2))
    check(outcome == "retry" and "joint_course_run: the database does not know" in reason and "mapping.yaml:13" in reason,
          "a table that is dropped under it", reason)
    plugin.drain()


NUMBERED = {
    "SQLite": "number INTEGER PRIMARY KEY NOT NULL, twice INTEGER NOT NULL AS (2 * position)",
    "PostgreSQL": "number SERIAL, always BIGINT GENERATED ALWAYS AS IDENTITY, other BIGINT GENERATED BY DEFAULT AS IDENTITY, "
                  "twice INTEGER NOT NULL GENERATED ALWAYS AS (2 * position) STORED",
    "MariaDB": "number INTEGER NOT NULL AUTO_INCREMENT UNIQUE, twice INTEGER AS (2 * position) PERSISTENT",
}


@on_each()
def unfilled(registrar):
    """a column that must have a value and gets none is said by --check; one that numbers, counts or has a default is not."""
    registrar.query("DROP TABLE joint_course_run")
    registrar.query("ALTER TABLE joint_course ADD COLUMN entered TIMESTAMP NOT NULL DEFAULT '2026-01-01 00:00:00'")
    registrar.query("CREATE TABLE joint_course_run (university VARCHAR(63), course_id VARCHAR(64), run_id VARCHAR(64), "
                    f"position INTEGER, starts DATE, language VARCHAR(8), places INTEGER, {NUMBERED[registrar.name]})")
    check("good" in harness.run([PROGRAM, "--check", registrar.mapping]).stdout, "what fills itself is no trouble")
    registrar.query("DROP TABLE incoming_name")
    registrar.query("CREATE TABLE incoming_name (university VARCHAR(63), mobility_id VARCHAR(64), position INTEGER, "
                    "given_name VARCHAR(80), entered_by VARCHAR(20) NOT NULL, twice INTEGER NOT NULL)")
    done = harness.run([PROGRAM, "--check", registrar.mapping], expect=78)
    equal(done.stderr.strip().split("\n"), [
        f"{registrar.mapping}:26:17: incoming_name: the table's column {column} must have a value, and nothing here gives it one"
        for column in ("entered_by", "twice")], "what is wrong")
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1)), "done", "an event for another table")
    check(any("mapping.yaml:26: incoming_name: the table's column entered_by" in line for line in plugin.logs), "the log", *plugin.logs)
    if registrar.name != "SQLite":  # it does not tell its constraints apart
        outcome, reason = plugin.deliver(nomination(1))
        check(outcome == "retry" and "incoming_name: a column that must have a value is not in the mapping" in reason, "one for it", reason)
        registrar.query("DROP TABLE incoming_name")
        registrar.query("CREATE TABLE incoming_name (university VARCHAR(63), mobility_id VARCHAR(64), position INTEGER, "
                        "given_name VARCHAR(80) NOT NULL)")
        equal(plugin.deliver(nomination(1)), "done", "when the table was mended")
    plugin.drain()


@on_each()
def required(registrar):
    """an event without a value for a column that must have one is rejected: it is not the mapping's fault."""
    registrar.query("DROP TABLE joint_course_run")
    registrar.query("DROP TABLE joint_course")
    for sql in TABLES.replace("code VARCHAR(60)", "code VARCHAR(60) NOT NULL").split(";")[:2]:
        registrar.query(sql)
    plugin = registrar.plugin()
    numbers = [plugin.hand(course(1)), plugin.hand(course(2, code="A"))]
    equal([plugin.outcome(number)[0:1] for number in numbers], [("reject",), "d"], "without, with")
    plugin.drain()


def test_mariadb_unwise():
    """MariaDB: a key that takes a for A, and a table without transactions, are said by --check and in the log"""
    text = TABLES.replace("course_id VARCHAR(64)", "course_id VARCHAR(64) COLLATE utf8mb4_general_ci")
    registrar = Registrar("MariaDB", text.replace("PRIMARY KEY (university, mobility_id))", "PRIMARY KEY (university, mobility_id)) ENGINE=MyISAM"))
    done = harness.run([PROGRAM, "--check", registrar.mapping], expect=78)
    collation = "course_id: the column takes a for A: give it a collation that does not, as utf8mb4_bin"
    equal(done.stderr.strip().split("\n"), [
        f"{registrar.mapping}:5:31: {collation}", f"{registrar.mapping}:13:17: {collation}",
        f"{registrar.mapping}:16:12: incoming_student: the table has no transactions: make it one of InnoDB"], "what is unwise")
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1)), "done", "it works all the same")
    check(any(f"mapping.yaml:5: {collation}" in line for line in plugin.logs), "the log", *plugin.logs)
    plugin.drain()


@on_each()
def half_created(registrar):
    """a table of applied events that was not created to its end is completed at the next start."""
    plugin = registrar.plugin()
    equal(plugin.deliver(course(1)), "done", "what creates it")
    plugin.drain()
    registrar.query("DROP INDEX enlight_done_object" + (" ON enlight_done" if registrar.name == "MariaDB" else ""))
    indexes = {"SQLite": "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'enlight_done_%'",
               "PostgreSQL": "SELECT indexname FROM pg_indexes WHERE tablename = 'enlight_done' AND indexname NOT LIKE '%pkey'",
               "MariaDB": "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND "
                          "table_name = 'enlight_done' AND index_name <> 'PRIMARY'"}[registrar.name]
    equal(registrar.query(indexes), [("enlight_done_channel",)], "half of it")
    for _ in range(2):
        plugin = registrar.plugin()
        equal(plugin.deliver(course(1)), "done", "the next start")
        plugin.drain()
    equal(sorted(registrar.query(indexes)), [("enlight_done_channel",), ("enlight_done_object",)], "all of it")


def test_bad_mapping_ends_the_plugin():
    """A mapping with mistakes is refused at start, each with its line"""
    folder = harness.folder("sql")
    (folder / "mapping.yaml").write_text("connection: DSN=none\ntables: [{topic: course.offering}]\n")
    plugin = Plugin(folder, expect_ready=False)
    harness.wait_until(lambda: plugin.process.poll() is not None, "it ends")
    check(plugin.process.returncode != 0, "not well")
    plugin.buffer += plugin.process.stdout.read()
    while plugin.take():
        pass
    check(any('mapping.yaml:2:10: missing setting "table"' in line for line in plugin.logs), "what it says", *plugin.logs)


def test_dry_run_and_check_need_no_database():
    """What an event would become is printed without a database; a database that does not answer is no fault of the file"""
    folder = harness.folder("sql")
    (folder / "mapping.yaml").write_text(MAPPING.format(connection="DSN=none", erased="delete"))
    sent = {"type": "eu.enlight.mobility.nomination.v1", "source": "ut.ee", "subject": "mobility/M1", "id": "1",
            "data": {"mobilityId": "M1", "student": {"names": [{"family": "O'Hara"}], "gender": "MALE"}, "sending": {"heiId": "ut.ee"},
                     "receiving": {"heiId": "ugent.be"}, "receivingAcademicYear": "2026/2027", "activityType": "student-studies"}}
    (folder / "event.json").write_text(json.dumps(sent))
    printed = harness.run([PROGRAM, "--dry-run", folder / "mapping.yaml", folder / "event.json"]).stdout
    check('UPDATE "incoming_student" SET "family_name" = ?, "gender" = ?' in printed, "the SQL", printed)
    check("--   1 family_name = 'O''Hara'\n--   2 gender = 'M'\n--   3 non_standard = NULL\n" in printed, "the values", printed)
    sent["data"]["activityType"] = "else"
    (folder / "event.json").write_text(json.dumps(sent))
    refused = harness.run([PROGRAM, "--dry-run", folder / "mapping.yaml", folder / "event.json"], expect=65)
    check("incoming_student.activity has a code" in refused.stderr, "what would be rejected", refused.stderr)
    del sent["data"]["student"]
    (folder / "event.json").write_text(json.dumps(sent))
    refused = harness.run([PROGRAM, "--dry-run", folder / "mapping.yaml", folder / "event.json"], expect=65)
    check("/data/student: required" in refused.stderr, "what is no event", refused.stderr)
    away = harness.run([PROGRAM, "--check", folder / "mapping.yaml"], expect=69)
    check("SQLSTATE IM002" in away.stderr, "a data source that there is not", away.stderr)
    harness.run([PROGRAM, "--check"], expect=64)


def test_readme():
    """The README's example is a mapping without a mistake, and its reference is what the program prints"""
    readme = (harness.ROOT / "plugins/sql/README.md").read_text()
    check(harness.run([PROGRAM, "--reference"]).stdout in readme, "the reference")
    example = harness.folder("sql") / "registrar.yaml"
    example.write_text(next(block for block in readme.split("```") if block.startswith("yaml\nconnection:"))[5:])
    done = harness.run([PROGRAM, "--check", example], expect=69)
    check("nothing is wrong in the file" in done.stderr, "the example", done.stderr)


if __name__ == "__main__":
    harness.main()
