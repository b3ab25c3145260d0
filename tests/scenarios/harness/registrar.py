"""registrar - a registrar's database in PostgreSQL that writes down everything that is done to it, and enlight-sql at a node to fill it.

`audit` is written by triggers in the transaction of the change itself, so it tells what acted, in which order, and how often. It does not go by
what the plugin notes for itself in `enlight_done`.
"""

import collections

import harness
from harness import check, databases, equal

TABLES = [
    """CREATE TABLE joint_course (university VARCHAR(63) NOT NULL, course_id VARCHAR(64) NOT NULL, title VARCHAR(80) NOT NULL,
        event VARCHAR(64) NOT NULL, revision BIGINT NOT NULL, PRIMARY KEY (university, course_id),
        CONSTRAINT no_poison CHECK (title <> 'poison'))""",
    """CREATE TABLE joint_course_run (university VARCHAR(63) NOT NULL, course_id VARCHAR(64) NOT NULL, run_id VARCHAR(64) NOT NULL,
        PRIMARY KEY (university, course_id, run_id),
        FOREIGN KEY (university, course_id) REFERENCES joint_course (university, course_id))""",
    """CREATE TABLE audit (number BIGSERIAL PRIMARY KEY, act CHAR(6) NOT NULL, university VARCHAR(63) NOT NULL,
        course_id VARCHAR(64) NOT NULL, revision BIGINT NOT NULL, event VARCHAR(64) NOT NULL)""",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
        INSERT INTO audit (act, university, course_id, revision, event)
            VALUES (TG_OP, COALESCE(NEW.university, OLD.university), COALESCE(NEW.course_id, OLD.course_id),
                COALESCE(NEW.revision, OLD.revision), COALESCE(NEW.event, OLD.event));
        RETURN NULL; END'""",
    "CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON joint_course FOR EACH ROW EXECUTE FUNCTION note()",
]

MAPPING = """\
connection: {connection}
tables:
  - topic: course.offering
    table: joint_course
    key: {{university: source, course_id: data.courseId}}
    revision: revision
    columns: {{title: "data.title[0].value", event: id}}
    rows:
      - {{table: joint_course_run, each: data.runs, key: {{run_id: runId}}}}
"""

Event = collections.namedtuple("Event", "university course_id revision id title runs")  # as its publisher was told it is


class Registrar:
    """The database, and its plugin in the configuration of a node that does not run yet."""

    def __init__(self, node, build):
        self.node = node
        folder = harness.folder("registrar")
        connection = databases.server("PostgreSQL").new()
        self.client = databases.Client(connection)
        harness.at_exit(self.client.close)
        for sql in TABLES:
            self.client.query(sql)
        mapping = folder / "mapping.yaml"
        mapping.write_text(MAPPING.format(connection=connection))
        with open(node.configuration, "a") as file:
            file.write(f"plugins:\n  - name: registrar\n    command: [{build}/plugins/sql/enlight-sql]\n"
                       f"    topics: [course.*]\n    settings: {{mapping: {mapping}}}\n"
                       "    memory_limit: 0\n")  # AddressSanitizer reserves more than there is

    def query(self, sql):
        return self.client.query(sql)

    def applied(self):
        """How often anything was done to a course."""
        return int(self.query("SELECT COUNT(*) FROM audit")[0][0])

    def progress(self):
        """About as much, rolled back work included; quick to ask."""
        return int(self.query("SELECT COALESCE(MAX(number), 0) FROM audit")[0][0])

    def plugin(self):
        """What the node says of it."""
        return self.node.ask("/v1/plugins")["plugins"][0]

    def wait_idle(self, seconds=120):
        """Waits until the plugin has nothing more to do."""
        def idle():
            row = self.plugin()
            return (row["state"] == "ready" and row["behind_batches"] == 0 and
                    not any(row[name] for name in ("open", "retrying", "parked")))
        harness.wait_until(idle, "the plugin has nothing more to do", seconds)

    def compare(self, events):
        """That these events acted, once each and in the order of their revisions, that nothing else did, and that each course is as its
        last event says."""
        wanted = {}
        for event in events:
            wanted.setdefault((event.university, event.course_id), {})[event.revision] = event
        acted = collections.defaultdict(list)
        for act, university, course_id, revision, id in self.query(
                "SELECT act, university, course_id, revision, event FROM audit ORDER BY number"):
            acted[university, course_id].append((act.strip(), int(revision), id))
        for key, revisions in wanted.items():
            equal(sorted(revisions), list(range(1, len(revisions) + 1)), f"revisions that the publisher was told of {key}")
            equal(acted[key], [("INSERT" if n == 1 else "UPDATE", n, revisions[n].id) for n in sorted(revisions)],
                  f"what was done to {key}, in order")
        equal(sorted(set(acted) - set(wanted)), [], "courses that nobody was told are published")
        last = {key: revisions[max(revisions)] for key, revisions in wanted.items()}
        rows = self.query("SELECT university, course_id, title, event, revision FROM joint_course")
        equal(sorted(rows), sorted((*key, e.title, e.id, str(e.revision)) for key, e in last.items()), "courses")
        equal(sorted(self.query("SELECT university, course_id, run_id FROM joint_course_run")),
              sorted((*key, run) for key, e in last.items() for run in e.runs), "runs")
        check(len(rows) == len(wanted), "a row for each course")
