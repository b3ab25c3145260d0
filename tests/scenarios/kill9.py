"""Nodes are killed at any moment while they publish and read; nothing that was answered may be lost, doubled or moved."""

import os
import random
import threading

import harness
from harness import check, equal
from harness.node import Network, course, forgiving

EVENTS = 20_000
BATCH_MAX = 60
EVENTS_BETWEEN_KILLS = (200, 700)
SEED = int(os.environ.get("ENLIGHT_SEED", "20261123"))


class Publisher(threading.Thread):
    """A local system that publishes to several audiences, and asks again, with the same ids, until it is answered."""

    def __init__(self, node, audiences, n_events, seed):
        super().__init__(daemon=True)
        self.node, self.audiences, self.n_events = node, audiences, n_events
        self.random = random.Random(seed)
        self.answered = {audience: {} for audience in audiences}  # sequence -> id
        self.n_answered = 0
        self.again = 0
        self.trouble = None
        self.stopped = False

    def run(self):
        try:
            while self.n_answered < self.n_events and not self.stopped:
                n = min(self.random.randint(1, BATCH_MAX), self.n_events - self.n_answered)
                audience = self.random.choice(self.audiences)
                self.publish([self.event(audience) for _ in range(n)])
        except Exception as error:
            self.trouble = error

    def event(self, audience):
        return course(self.node.member.handle, audience)

    def publish(self, events):
        while not self.stopped:
            with forgiving():
                answer = self.node.post(events if len(events) > 1 else events[0])
                if answer.status == 503:
                    continue
                check(answer.status in (200, 201), "an event that keeps every rule is refused", answer)
                self.note(events, answer.json["events"])
                return

    def note(self, events, answers):
        equal([a["id"] for a in answers], [e["id"] for e in events], "ids in the answer")
        for event, said in zip(events, answers):
            place = self.answered[event["enlightaudience"]]
            check(place.get(said["sequence"], event["id"]) == event["id"], "one sequence was given to two events", said)
            place[said["sequence"]] = event["id"]
            self.again += said["state"] == "again"
        self.n_answered += len(events)


def stop(publishers):
    for publisher in publishers:
        publisher.stopped = True
    for publisher in publishers:
        publisher.join()


def kill_at_random(network, publishers, chance):
    """Kills one node or two at once every few hundred events, and starts them again, until all is published."""
    kills = 0
    next_at = chance.randint(*EVENTS_BETWEEN_KILLS)
    while True:
        harness.wait_until(lambda: sum(p.n_answered for p in publishers) >= next_at
                           or not any(p.is_alive() for p in publishers), f"{next_at} events are published", 120)
        if not any(publisher.is_alive() for publisher in publishers):
            return kills
        victims = chance.sample(network.nodes, chance.choice((1, 1, 1, 2)))
        for victim in victims:
            victim.kill()
        for victim in chance.sample(victims, len(victims)):
            victim.launch()
        for victim in victims:
            victim.wait_ready()
        kills += len(victims)
        next_at = sum(publisher.n_answered for publisher in publishers) + chance.randint(*EVENTS_BETWEEN_KILLS)


def compare(reader, publisher, audience):
    """What a node shows of a channel is what its publisher was told: every event, once, in order, and nothing else."""
    expected = sorted(publisher.answered[audience].items())
    where = f"{audience} of {publisher.node.member.handle} at {reader.member.handle}"
    shown = reader.events(source=publisher.node.member.handle, audience=audience)
    seen = [(event["sequence"], event["id"]) for event in shown]
    equal([sequence for sequence, _ in seen], list(range(1, len(expected) + 1)), f"sequences of {where}")
    equal(seen, expected, f"events of {where}")


@harness.limit(540)
def test_kill():
    """With publishers and readers killed at random, every event that was answered is at every reader once and in order, and nothing else is"""
    chance = random.Random(SEED)
    network = Network(["rug.nl", "ugent.be", "ut.ee", "uu.se"]).start()
    publishers = [
        Publisher(network["ugent.be"], ["network", "ut.ee", "rug.nl,uu.se"], EVENTS // 2, chance.random()),
        Publisher(network["ut.ee"], ["network", "ugent.be"], EVENTS - EVENTS // 2, chance.random()),
    ]
    harness.at_exit(stop, publishers)
    for publisher in publishers:
        publisher.start()
    kills = kill_at_random(network, publishers, chance)
    for publisher in publishers:
        publisher.join()
        check(publisher.trouble is None, f"{publisher.node.member.handle} stopped publishing", publisher.trouble)
    equal(sum(publisher.n_answered for publisher in publishers), EVENTS, "events published")
    check(kills >= 10, "nodes were killed often enough for this to mean something", kills)

    for publisher in publishers:
        source = publisher.node.member.handle
        for audience, events in publisher.answered.items():
            readers = set(network.members) if audience == "network" else {*audience.split(","), source}
            for handle, member in network.members.items():
                if handle not in readers:
                    equal(member.node.events(source=source, audience=audience), [],
                          f"what {handle} has of a channel it is not to read")
                    continue
                member.node.wait_for(source, audience, len(events))
                compare(member.node, publisher, audience)
    print(f"# seed {SEED}: {kills} kills, {sum(p.again for p in publishers)} events answered a second time")


if __name__ == "__main__":
    harness.main()
