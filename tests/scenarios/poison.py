"""A record that the registrar's database will never take, on its way from another university's node."""

import harness
from harness import check, equal
from harness.node import Network, course
from harness.registrar import Event, Registrar

COURSES = 1000
TITLES = ("One", "Two", "Three")


def publish(node, courses, title):
    """A revision of each of these courses, by number; number 13 begins as poison. Returns them as they were answered."""
    events = [course("ut.ee", "ugent.be", f"CR/{n}", title="poison" if (n, title) == (13, TITLES[0]) else title) for n in courses]
    return [Event("ut.ee", event["data"]["courseId"], said["revision"], event["id"], event["data"]["title"][0]["value"], [])
            for event, said in zip(events, node.publish(events))]


def test_poison():
    """One poison record among 1,000 subjects stops only its own; once the constraint is gone and it is retried all rows are there, in order"""
    network = Network(["ugent.be", "ut.ee"])
    reader = network["ugent.be"]
    registrar = Registrar(reader, harness.BUILD)
    network.start()
    events = []
    for title in TITLES:
        for first in range(0, COURSES, 500):
            events += publish(network["ut.ee"], range(first, first + 500), title)

    harness.wait_until(lambda: registrar.applied() == (COURSES - 1) * len(TITLES) and registrar.plugin()["parked"] == 2,
                       "all others are applied, and two revisions wait behind the one that is not", 60)
    registrar.compare([event for event in events if event.course_id != "CR/13"])
    letters = reader.ask("/v1/dead-letters")["letters"]
    equal([(letter["state"], letter["parked"]) for letter in letters], [("dead", 2)], "dead letters")
    check("joint_course" in letters[0]["reason"] and "23514" in letters[0]["reason"] and "poison" not in letters[0]["reason"],
          "the reason names table and SQLSTATE, and quotes nothing", letters[0]["reason"])
    equal(registrar.plugin()["restarts"], 0, "restarts of the plugin")

    enlight = [reader.build / "node" / "enlight", "--socket", reader.socket]
    harness.run([*enlight, "dead", "retry", "registrar", letters[0]["place"]])
    harness.wait_until(lambda: [(l["state"], l["attempts"]) for l in reader.ask("/v1/dead-letters")["letters"]] == [("dead", 2)],
                       "retried with the cause still there it is dead again")
    registrar.query("ALTER TABLE joint_course DROP CONSTRAINT no_poison")
    harness.run([*enlight, "dead", "retry", "registrar", letters[0]["place"]])
    harness.wait_until(lambda: registrar.applied() == COURSES * len(TITLES), "all are applied")
    registrar.wait_idle()
    equal(reader.ask("/v1/dead-letters")["letters"], [], "dead letters")
    registrar.compare(events)


if __name__ == "__main__":
    harness.main()
