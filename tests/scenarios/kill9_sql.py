"""Publishers, the reader and its plugin are killed at any moment; every event that was answered acts once in the reader's database."""

import collections
import os
import pathlib
import random
import signal
import time

import harness
import kill9
from harness import check, equal
from harness.node import Network, course, forgiving
from harness.registrar import Event, Registrar

EVENTS = 20_000
COURSES = 150  # of each publisher for each audience, so that there are some thirty revisions of each
LEAD = 2000  # events that a publisher may be ahead of what is applied, so that all are at work at the same time
STEPS_BETWEEN_KILLS = (400, 1400)  # events published and events applied
SEED = int(os.environ.get("ENLIGHT_SEED", "20261126"))
READER = "ugent.be"


class Publisher(kill9.Publisher):
    """One whose courses change all the time; a course keeps its audience, since between channels there is no order."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.made = 0
        self.may_publish = LEAD
        self.told = {}  # id -> event as the node answered it

    def publish(self, events):
        while self.n_answered > self.may_publish and not self.stopped:
            time.sleep(harness.POLL_S)
        super().publish(events)

    def event(self, audience):
        self.made += 1
        event = course(self.node.member.handle, audience, f"{self.audiences.index(audience)}-{self.random.randrange(COURSES)}",
                       title=str(self.made))
        event["data"]["runs"] = [{"runId": f"{self.made}-{i}"} for i in range(self.random.randint(0, 2))]
        return event

    def note(self, events, answers):
        super().note(events, answers)
        for event, said in zip(events, answers):
            check(said["state"] in ("published", "again"), "each event is news", said)
            data = event["data"]
            self.told[event["id"]] = Event(event["source"], data["courseId"], said["revision"], event["id"],
                                           data["title"][0]["value"], [run["runId"] for run in data["runs"]])

    def told_to(self, reader):
        """Of what was answered: all that this reader has to have."""
        return [self.told[id] for audience, ids in self.answered.items() if audience == "network" or reader in audience.split(",")
                for id in ids.values()]


class Killer:
    """Kills one or two of nodes and plugin, whenever enough was done since the last time, and starts the nodes again."""

    def __init__(self, network, registrar, publishers, chance):
        self.network, self.registrar, self.publishers, self.chance = network, registrar, publishers, chance
        self.kills = collections.Counter()
        self.at_work = 0  # kills of the plugin or its node with events at the plugin

    def finished(self):
        """Whether everything is published and applied."""
        return (not any(p.is_alive() for p in self.publishers) and
                self.registrar.applied() >= sum(len(p.told_to(READER)) for p in self.publishers))

    def steps(self):
        applied = self.registrar.progress()
        for publisher in self.publishers:
            publisher.may_publish = applied // len(self.publishers) + LEAD
        return sum(p.n_answered for p in self.publishers) + applied

    def kill_plugin(self):
        """With what it has at that moment; it is its node that starts it again."""
        with forgiving():
            row = self.registrar.plugin()
            if "enlight-sql" in pathlib.Path(f"/proc/{row['pid']}/cmdline").read_text():
                os.kill(row["pid"], signal.SIGKILL)
                self.kills["plugin"] += 1
                self.at_work += row["open"] > 0

    def kill(self):
        victims = self.chance.sample([*self.network.nodes, None], self.chance.choice((1, 1, 1, 2)))
        if None in victims:
            victims.remove(None)
            self.kill_plugin()
        for node in victims:
            if node.member.handle == READER:
                with forgiving():
                    self.at_work += self.registrar.plugin()["open"] > 0
            node.kill()
            self.kills[node.member.handle] += 1
        for node in self.chance.sample(victims, len(victims)):
            node.launch()
        for node in victims:
            node.wait_ready()

    def run(self):
        """Until everything is published and applied."""
        next_at = self.chance.randint(*STEPS_BETWEEN_KILLS)
        while True:
            harness.wait_until(lambda: self.steps() >= next_at or self.finished(), f"{next_at} events are published or applied", 120)
            if self.finished():
                return
            self.kill()
            next_at = self.steps() + self.chance.randint(*STEPS_BETWEEN_KILLS)


@harness.limit(540)
def test_kill():
    """With publishers, reader and plugin killed at random, every event that was answered acts once in the reader's PostgreSQL, those of an object in order, and nothing else does"""
    chance = random.Random(SEED)
    network = Network(["ut.ee", "uu.se", READER])
    registrar = Registrar(network[READER], harness.BUILD)
    network.start()
    publishers = [
        Publisher(network["ut.ee"], ["network", READER, f"{READER},uu.se", "uu.se"], EVENTS // 2, chance.random()),
        Publisher(network["uu.se"], ["network", READER], EVENTS - EVENTS // 2, chance.random()),
    ]
    harness.at_exit(kill9.stop, publishers)
    for publisher in publishers:
        publisher.start()
    killer = Killer(network, registrar, publishers, chance)
    killer.run()
    for publisher in publishers:
        publisher.join()
        check(publisher.trouble is None, f"{publisher.node.member.handle} stopped publishing", publisher.trouble)
    equal(sum(publisher.n_answered for publisher in publishers), EVENTS, "events published")
    registrar.wait_idle()
    equal(network[READER].ask("/v1/dead-letters")["letters"], [], "dead letters")
    events = [event for publisher in publishers for event in publisher.told_to(READER)]
    registrar.compare(events)
    check(all(killer.kills[who] >= 3 for who in ("ut.ee", "uu.se", READER, "plugin")) and killer.at_work >= 3,
          "all were killed often enough for this to mean something", killer.kills, killer.at_work)
    said = ", ".join(f"{who} {n}" for who, n in sorted(killer.kills.items()))
    print(f"# seed {SEED}: {sum(killer.kills.values())} kills ({said}), {killer.at_work} of them with events at the plugin; "
          f"{EVENTS} events answered, {sum(p.again for p in publishers)} a second time; {len(events)} for {READER}, each acted once; "
          f"{len({(e.university, e.course_id) for e in events})} courses")


if __name__ == "__main__":
    harness.main()
