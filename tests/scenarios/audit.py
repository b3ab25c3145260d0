"""The audit trail: what operators do to a node is an event in the node's own channel, and `enlight audit` lists it."""

import json
import os
import re

import harness
from harness import check, equal, wait_until
from harness.node import course
from plugins import World


def trail(node, *words):
    return json.loads(node.enlight("audit", "--json", *words).stdout)


def is_trail(node, acts, what):
    """The trail is that; the last of it, which the node says by itself, may come a moment after it is ready."""
    harness.wait_until(lambda: len(trail(node)) >= len(acts), f"{what}: {len(acts)} acts")
    equal(brief(trail(node)), acts, what)


def brief(rows):
    return [(row["act"], row.get("object"), row["result"], row.get("uid"), row.get("reason")) for row in rows]


def test_trail():
    """Every act is listed with who did it, to what and why, also after restarts; it is chained, and nobody else ever sees it"""
    world, us = World(), os.getuid()
    plugin = world.plugin("registrar", rules=[{"subject": "CR/bad", "act": "reject"}])
    world.start(plugin)
    node, card = world.reader, world.folder / "ut.ee.card"
    version = node.enlight("--version").stdout.split()[-1]
    is_trail(node, [("node.start", f"enlightd {version}", "done", None, None)], "a fresh node")
    world.publish("CR/bad")
    wait_until(lambda: len(world.letters()) == 1, "the letter is dead")
    place = world.letters()[0]["place"]
    card.write_text(world.network.members["ut.ee"].card(number=2))
    node.enlight("peers", "block", "ut.ee", "--reason", "floods us")
    node.enlight("peers", "unblock", "ut.ee", "--reason", "they mended it")
    node.enlight("card", "import", card, "--reason", "sent by Tartu")
    node.enlight("card", "import", card)
    node.enlight("dead", "drop", "registrar", place, "--reason", "a test record")
    world.reload()
    acts = [("node.start", f"enlightd {version}", "done", None, None), ("peers.block", "ut.ee", "done", us, "floods us"),
            ("peers.unblock", "ut.ee", "done", us, "they mended it"), ("card.import", "ut.ee 2", "done", us, "sent by Tartu"),
            ("card.import", "ut.ee 2", "known", us, None), ("dead.drop", f"registrar/{place}", "done", us, "a test record"),
            ("config.reload", "plugins", "done", us, None)]
    wait_until(lambda: len(trail(node)) == len(acts), "the signal's act is there")
    equal(brief(trail(node)), acts, "the trail")
    node.enlight("events", "--data", "--json")
    node.enlight("events", "--data", "--json")
    acts.append(("events.read", "source=* topic=*", "done", us, None))
    equal(brief(trail(node)), acts, "the trail with what was read, once an hour")
    equal(brief(trail(node, "--limit", "2")), acts[-2:], "the newest")
    equal(trail(node, "--since", "2999-01-01"), [], "nothing since then")
    table = node.enlight("audit").stdout.splitlines()
    check(re.search(rf"\({us}\)|\b{us}\b", table[2]) and "floods us" in table[2] and "the node" in table[1], "the table", *table)

    node.stop()
    node.start()
    acts += [("node.stop", f"enlightd {version}", "done", us, "Terminated"), ("node.start", f"enlightd {version}", "done", None, None)]
    is_trail(node, acts, "the trail after a restart")
    channel = node.channel("ugent.be", "ugent.be")
    equal((channel["last"], channel["state"]), (len(acts), "live"), "the channel")
    events = node.events(topic="node.act", data="true")
    equal([event["sequence"] for event in events], list(range(1, len(acts) + 1)), "its sequence")
    verdicts = {row["check"]: row["verdict"] for row in json.loads(node.enlight("doctor", "--json", expect=None).stdout)}
    check("FAIL" not in verdicts.values(), "doctor", verdicts)

    equal([event["type"] for event in node.events() if "node.act" in event["type"]], [], "among other events")
    forged = {**events[1], **course("ugent.be"), "type": "eu.enlight.node.act.v1", "enlightaudience": "ugent.be",
              "subject": events[1]["subject"], "data": events[1]["data"]}
    equal(node.post(forged).status, 403, "an act that nobody did")
    node.publish(course("ugent.be"))
    world.publisher.wait_for("ugent.be", "network", 1)
    equal(world.publisher.channel("ugent.be", "ugent.be"), None, "the channel at the other member")
    equal(world.publisher.events(topic="node.act", source="ugent.be"), [], "its events there")


def test_plugins_and_the_trail():
    """A plugin gets acts only when it asks for its own node's events and its row names the topic; none can publish one"""
    world = World()
    named, all_own, not_own = (world.plugin(name, topics=topics) for name, topics in
                               (("named", ["node.act"]), ("all", ["*"]), ("others", ["node.act"])))
    for plugin in (named, all_own):
        plugin.yaml = plugin.yaml.replace('"topics"', '"own": true, "topics"')
    world.start(named, all_own, not_own)
    world.reader.enlight("peers", "block", "ut.ee", "--reason", "a test")
    world.reader.publish(course("ugent.be"))
    named.wait(2)
    equal([event["subject"].partition("/")[0] for event in all_own.wait(1)], ["course"], "what a star covers")
    wait_until(lambda: all(world.row(name)["behind_batches"] == 0 for name in ("named", "all", "others")), "all are at the end")
    equal((len(named.events), len(all_own.events), len(not_own.events)), (2, 1, 0), "what each was given")


if __name__ == "__main__":
    harness.main()
