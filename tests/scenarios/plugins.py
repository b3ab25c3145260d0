"""Plugins as their operators meet them: good ones, and every bad one, each beside a good one that must not notice."""

import json
import os
import pathlib
import signal

import harness
from harness import check, equal
from harness.node import Network, course, nomination

PLUGIN = pathlib.Path(harness.__file__).parent / "plugin.py"


def contracts():
    """The compiled contracts, for the plugin's process."""
    folder = harness.folder("proto")
    files = [f"enlight/{kind}/v1/{kind}.proto" for kind in ("log", "plugin")]
    harness.run(["protoc", f"--proto_path={harness.ROOT}/proto", f"--python_out={folder}", *files])
    return folder


class Plugin:
    """A plugin of the test's in one node's configuration."""

    def __init__(self, folder, compiled, name, topics=("course.*",), publishes=(), deadline="60s", memory="0", **settings):
        self.name, self.done = name, folder / f"{name}.done"
        row = {"name": name, "command": [str(PLUGIN)], "topics": list(topics), "publishes": list(publishes),
               "deadline": deadline, "memory_limit": memory, "environment": [f"PYTHONPATH={compiled}"],
               "settings": {"done": str(self.done), **settings}}
        self.yaml = json.dumps(row)

    @property
    def notes(self):
        return [json.loads(line) for line in self.done.read_text().split("\n")[:-1]] if self.done.exists() else []

    @property
    def events(self):
        return [note for note in self.notes if "id" in note]

    def wait(self, n, seconds=60):
        harness.wait_until(lambda: len(self.events) >= n, f"{self.name} has done {n} events", seconds)
        return self.events


def rows(*plugins):
    return "plugins:\n" + "".join(f"  - {plugin.yaml}\n" for plugin in plugins)


class World:
    """A publisher and a reader; the reader runs plugins."""

    def __init__(self):
        self.network = Network(["ugent.be", "ut.ee"])
        self.folder = harness.folder("plugins")
        self.compiled = contracts()
        self.publisher, self.reader = self.network["ut.ee"], self.network["ugent.be"]

    def plugin(self, name, **settings):
        return Plugin(self.folder, self.compiled, name, **settings)

    def start(self, *plugins):
        text = self.reader.configuration.read_text()
        self.reader.configuration.write_text(text + rows(*plugins))
        self.network.start()
        return self

    def reload(self, *plugins):
        """SIGHUP with these plugins; waits until the node has read them."""
        text = self.reader.configuration.read_text().split("plugins:\n")[0]
        self.reader.configuration.write_text(text + (rows(*plugins) if plugins else ""))
        before = self.said('"subject": "config"')
        self.reader.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.said('"subject": "config"') > before, "the configuration is read again")

    def said(self, text):
        return self.reader.log.read_text(errors="replace").count(text)

    def row(self, name):
        return next((row for row in self.reader.ask("/v1/plugins")["plugins"] if row["name"] == name), None)

    def letters(self, **filters):
        return self.reader.ask("/v1/dead-letters", **filters)["letters"]

    def publish(self, *subjects, title="Game Theory"):
        """One course of each name; returns the answers."""
        events = [course("ut.ee", "ugent.be", course_id=subject, title=title) for subject in subjects]
        return self.publisher.publish(events)


def in_order(events):
    """That revisions of each object rise by one."""
    last = {}
    for event in events:
        equal(event["revision"], last.get(event["subject"], 0) + 1, f"revision of {event['subject']}")
        last[event["subject"]] = event["revision"]


def test_once_and_in_order():
    """A plugin gets every event once, in order for each object, what was there before it too; its own node's only when it asks for them"""
    world = World()
    plain = world.plugin("plain")
    own = world.plugin("own")
    own.yaml = own.yaml.replace('"topics"', '"own": true, "topics"')
    world.network.start()
    for title in ("One", "Two", "Three"):
        world.publish(*[f"CR/{n}" for n in range(40)], title=title)
    world.reader.publish([course("ugent.be", "ut.ee")])
    world.reload(plain, own)
    in_order(plain.wait(120))
    own.wait(121)
    world.publish("CR/late")
    plain.wait(121)
    own.wait(122)
    equal(len({event["id"] for event in plain.events}), 121, "ids")
    harness.wait_until(lambda: world.row("plain")["behind_batches"] == 0, "the cursor has come to the end")
    equal(world.row("plain")["done"], 121, "done")
    world.reader.stop()
    equal(plain.notes[-1], {"drained": True}, "what a plugin is told at the end")
    world.reader.start()
    harness.wait_until(lambda: world.row("plain")["state"] == "ready", "the plugin runs again")
    world.publish("CR/later")
    plain.wait(122)
    equal(len(plain.events), 122, "nothing came a second time")


def test_poison():
    """One poison record among many subjects stops only its own; after a retry with the cause mended all are there, in order"""
    world = World()
    mended = world.folder / "mended"
    plugin = world.plugin("registrar", rules=[{"subject": "CR/13$", "act": "reject", "unless": str(mended)}])
    world.start(plugin)
    for title in ("One", "Two", "Three"):
        world.publish(*[f"CR/{n}" for n in range(200)], title=title)
    plugin.wait(597)
    harness.wait_until(lambda: world.row("registrar")["parked"] == 2, "two later revisions are parked")
    letters = world.letters()
    equal([(l["state"], l["reason"], l["parked"]) for l in letters], [("dead", "told to reject", 2)], "dead letters")
    place = letters[0]["place"]
    enlight = [world.reader.build / "node" / "enlight", "--socket", world.reader.socket]
    shown = harness.run([*enlight, "dead", "show", "registrar", place]).stdout
    check("course/CR/13" in shown and "2 parked" in shown, "dead show tells what it is", shown)
    parked = world.letters(state="parked")
    equal(len(parked), 2, "parked")
    refused = harness.run([*enlight, "dead", "retry", "registrar", parked[0]["place"]], expect=None)
    check(refused.returncode != 0 and "parked" in refused.stderr, "a parked one cannot be retried", refused)
    world.reader.kill()
    world.reader.start()
    equal([l["place"] for l in world.letters()], [place], "the dead letter after a crash of the node")
    harness.wait_until(lambda: world.row("registrar")["state"] == "ready", "the plugin runs again")
    mended.touch()
    harness.run([*enlight, "dead", "retry", "registrar", place])
    plugin.wait(600)
    seen = {}
    for event in plugin.events:  # after the crash what was open may have come twice
        seen.setdefault(event["id"], event)
    in_order(seen.values())
    equal(len(seen), 600, "events")
    harness.wait_until(lambda: world.letters() == [], "nothing is held any more")
    acts = json.loads(harness.run([*enlight, "audit", "--json"]).stdout)
    equal([(act["object"], act["uid"]) for act in acts if act["act"] == "dead.retry"], [(f"registrar/{place}", os.getuid())],
          "the audit trail says who did it")


def test_drop():
    """A dead letter that is dropped never comes, and what was parked behind it goes on"""
    world = World()
    plugin = world.plugin("registrar", rules=[{"subject": "CR/bad", "act": "reject"}])
    world.start(plugin)
    world.publish("CR/bad", "CR/good")
    plugin.wait(1)
    harness.wait_until(lambda: len(world.letters()) == 1, "the letter is dead")
    enlight = [world.reader.build / "node" / "enlight", "--socket", world.reader.socket]
    place = world.letters()[0]["place"]
    check("--reason" in harness.run([*enlight, "dead", "drop", "registrar", place], expect=64).stderr, "a reason is needed")
    harness.run([*enlight, "dead", "drop", "registrar", place, "--reason", "a test"])
    equal(world.letters(), [], "letters")
    harness.run([*enlight, "dead", "drop", "registrar", place, "--reason", "a test"], expect=None)
    acts = json.loads(harness.run([*enlight, "audit", "--json"]).stdout)
    equal([(act["object"], act["reason"]) for act in acts if act["act"] == "dead.drop"], [(f"registrar/{place}", "a test")],
          "the audit trail says so")


def test_many_dead_letters():
    """Many dead letters are listed page by page, and an operator retries them at once: those of a topic, or all; the audit trail says so"""
    world = World()
    mended = world.folder / "mended"
    rules = [{"subject": ".", "act": "reject", "unless": str(mended)}]
    plugins = [world.plugin(name, rules=rules) for name in ("library", "registrar")]
    world.start(*plugins)
    world.publish(*[f"CR/{n}" for n in range(120)])
    harness.wait_until(lambda: [world.row(plugin.name)["dead"] for plugin in plugins] == [120, 120], "all letters are dead")
    seen, page = [], {"next": None, "more": True}
    while page["more"]:
        after = {"after": page["next"]} if page["next"] else {}
        page = world.reader.ask("/v1/dead-letters", limit=50, **after)
        check(len(page["letters"]) <= 50, "a page is no longer than its limit")
        seen += [(letter["plugin"], letter["place"]) for letter in page["letters"]]
    equal((len(seen), len(set(seen))), (240, 240), "letters in pages, each once")
    equal([name for name, _ in seen], ["library"] * 120 + ["registrar"] * 120, "plugin by plugin")
    enlight = [world.reader.build / "node" / "enlight", "--socket", world.reader.socket]
    equal(len(json.loads(harness.run([*enlight, "--json", "dead"]).stdout)), 240, "what the command lists")
    mended.touch()
    check("--all" in harness.run([*enlight, "dead", "retry", "registrar"], expect=64).stderr, "what to retry must be said")
    harness.run([*enlight, "dead", "retry", "nobody", "--all"], expect=None)
    said = harness.run([*enlight, "dead", "retry", "registrar", "--topic", "mobility.*"]).stderr
    check("gets 0 events" in said, "none is of another topic", said)
    said = harness.run([*enlight, "dead", "retry", "registrar", "--source", "ut.ee", "--topic", "course.*"]).stderr
    check("gets 120 events" in said, "how many there were", said)
    plugins[1].wait(120)
    harness.wait_until(lambda: world.letters(plugin="registrar") == [], "nothing of it is held any more")
    equal(world.row("library")["dead"], 120, "the other's letters")
    harness.run([*enlight, "dead", "retry", "library", "--all"])
    plugins[0].wait(120)
    acts = [event["data"] for event in world.reader.events(topic="node.act", data="true")]
    equal(sum("dead.retry" in act.values() for act in acts), 3, "the audit trail says who did it")


def test_narrowed_topics():
    """Topics that are narrowed by SIGHUP: dead letters of the others are dropped, those that stay are kept, and an erasure tells only of them"""
    world = World()
    rules = [{"subject": "CR/bad|mobility", "act": "reject"}]
    plugin = world.plugin("registrar", topics=["*"], rules=rules)
    world.start(plugin)
    sequences = [answer["sequence"] for answer in world.publish("CR/bad", "CR/good")]
    answer = world.publisher.publish(nomination("ut.ee", "ugent.be"))[0]
    harness.wait_until(lambda: world.row("registrar")["dead"] == 2, "two letters are dead")
    dropped = next(letter["place"] for letter in world.letters() if letter["topic"] == "mobility.nomination")
    world.reload(world.plugin("registrar", topics=["course.*"], rules=rules))
    named = f'"not of its topics any more, dropped", "fields": {{"plugin": "registrar", "place": "{dropped}"'
    harness.wait_until(lambda: world.said(named) == 1, "the log says so")
    harness.wait_until(lambda: [letter["topic"] for letter in world.letters()] == ["course.offering"], "the other letter stays")
    world.publisher.publish({"specversion": "1.0", "type": "eu.enlight.person.erasure.v1", "subject": "person/e1",
                             "enlightaudience": "ugent.be", "data": {"erasureId": "e1", "reason": "request", "sequences":
                                                                    [str(n) for n in (*sequences, answer["sequence"])]}})
    harness.wait_until(lambda: any("erased" in note for note in plugin.notes), "the plugin is told to forget")
    erased = next(note["erased"] for note in plugin.notes if "erased" in note)
    check(len(erased) == 2 and answer["id"] not in erased, "ids of its topics, and no other", erased)
    harness.wait_until(lambda: world.letters() == [], "what was erased is held no more")


def test_retry_holds_up_its_own():
    """What asks to be retried comes again until it is done; its lane waits, others go on"""
    world = World()
    mended = world.folder / "mended"
    plugin = world.plugin("registrar", rules=[{"subject": "CR/slow", "act": "retry", "unless": str(mended)}])
    world.start(plugin)
    for title in ("One", "Two"):
        world.publish("CR/slow", *[f"CR/{n}" for n in range(50)], title=title)
    plugin.wait(100)
    harness.wait_until(lambda: any(l["attempts"] >= 3 for l in world.letters(state="retrying")), "it was tried three times")
    equal(world.row("registrar")["retrying"], 1, "retrying")
    mended.touch()
    in_order(plugin.wait(102))


def test_bad_plugins_harm_nobody():
    """A plugin that hangs, crashes at every start, leaks to its limit, floods stderr or prints garbage delays neither links nor other plugins"""
    world = World()
    good = world.plugin("good")
    bad = [world.plugin("crash", at_start="crash"), world.plugin("garbage", at_start="garbage"),
           world.plugin("flood", at_start="flood"), world.plugin("hang", at_start="hang", deadline="500ms"),
           world.plugin("leak", at_start="leak", memory="256MiB"),
           world.plugin("stuck", rules=[{"subject": "CR/7$", "act": "hang"}], deadline="500ms")]
    world.start(good, *bad)
    for title in ("One", "Two"):
        world.publish(*[f"CR/{n}" for n in range(100)], title=title)
    in_order(good.wait(200))
    for name in ("crash", "garbage", "leak", "hang"):
        harness.wait_until(lambda: world.row(name)["restarts"] >= 2, f"{name} is started again and again")
    equal(world.row("hang")["last_error"], "not ready within its deadline", "why the one that hangs was ended")
    harness.wait_until(lambda: world.said('lines_left_out') >= 1, "the flood of lines is cut")
    check(world.said("line 19999") == 0, "not every line of the flood is in the log")
    stuck = next(plugin for plugin in bad if plugin.name == "stuck")
    stuck.wait(198, seconds=90)
    letters = harness.wait_until(lambda: world.letters(plugin="stuck", state="dead"), "what hangs it is dead", 60)
    equal([l["parked"] for l in letters], [1], "parked behind it")
    equal(world.row("good")["restarts"], 0, "restarts of the good one")
    equal(world.publisher.peer("ugent.be")["state"], "live", "the link")


def test_death_counts_alone():
    """After a death what was open goes out one at a time; only who is alone with the plugin when it dies becomes a dead letter"""
    world = World()
    plugin = world.plugin("registrar", window=32, rules=[{"subject": "CR/5$", "act": "crash"}])
    world.start(plugin)
    world.publish(*[f"CR/{n}" for n in range(20)])
    plugin.wait(19, seconds=90)
    letters = harness.wait_until(lambda: world.letters(state="dead"), "the one that kills it is dead", 60)
    equal(len(letters), 1, "dead letters")
    equal({event["subject"] for event in plugin.events}, {f"course/CR/{n}" for n in range(20) if n != 5}, "what was done")


def test_reload():
    """Plugins are added, changed and removed by SIGHUP; a file with a mistake changes nothing; one that comes back goes on where it was"""
    world = World()
    one, two = world.plugin("one"), world.plugin("two")
    world.start(one)
    world.publish("CR/1")
    one.wait(1)
    pid = world.row("one")["pid"]
    world.reload(one, two)
    two.wait(1)
    equal(world.row("one")["pid"], pid, "what has not changed goes on")
    changed = world.plugin("two", window=3)
    world.reload(one, changed)
    harness.wait_until(lambda: (world.row("two") or {}).get("window") == 3, "the changed one runs")
    equal(len(two.events), 1, "it goes on where it was")
    world.reload(two)
    harness.wait_until(lambda: world.row("one") is None, "the removed one is gone")
    check(not os.path.exists(f"/proc/{pid}"), "so is its process")
    world.publish("CR/2")
    broken = world.plugin("broken")
    broken.yaml = broken.yaml.replace(str(PLUGIN), "/nonexistent/program")
    world.reload(two, broken)
    equal([row["name"] for row in world.reader.ask("/v1/plugins")["plugins"]], ["two"], "after a file with a mistake")
    world.reload(one, two)
    one.wait(2)
    equal([event["subject"] for event in one.events], ["course/CR/1", "course/CR/2"], "it goes on where it was")


def test_publishing():
    """A plugin publishes what the configuration allows, by every rule of the local API, and is told what became of it"""
    world = World()
    good = course("ugent.be", "ut.ee")
    bad = course("ugent.be", "ut.ee")
    bad["data"].pop("courseId")
    foreign = dict(course("ugent.be", "ut.ee"), type="eu.enlight.programme.joint.v1")
    plugin = world.plugin("publisher", publishes=["course.offering"], publish=[good, good, bad, foreign])
    world.start(plugin)
    told = harness.wait_until(lambda: [n for n in plugin.notes if "published" in n][3:] and
                              [n for n in plugin.notes if "published" in n], "all four are answered")
    statuses = {n["published"]: n["status"] for n in told}
    equal(statuses, {1: 201, 2: 200, 3: 422, 4: 403}, "statuses")
    check(any("courseId" in place for place, _ in next(n for n in told if n["published"] == 3)["problems"]), "the field", told)
    world.publisher.wait_for("ugent.be", "ut.ee", 1)


def test_plugins_die_with_the_node():
    """When the node is killed its plugins are gone before the next node's start"""
    world = World()
    plugin = world.plugin("one")
    world.start(plugin)
    world.publish("CR/1")
    plugin.wait(1)
    pid = world.row("one")["pid"]
    world.reader.kill()
    harness.wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the plugin's process is gone")
    world.reader.start()
    world.publish("CR/2")
    plugin.wait(2)


def test_erasure():
    """An erasure reaches every plugin, with the ids that it is about, after what came before it"""
    world = World()
    plugin = world.plugin("registrar")
    world.start(plugin)
    answers = world.publish("CR/1", "CR/2")
    sequence = answers[0]["sequence"]
    erasure = {"specversion": "1.0", "type": "eu.enlight.person.erasure.v1", "subject": "person/e1", "enlightaudience": "ugent.be",
               "data": {"erasureId": "e1", "sequences": [str(sequence)], "reason": "request"}}
    world.publisher.publish(erasure)
    harness.wait_until(lambda: any("erased" in note for note in plugin.notes), "the plugin is told to forget")
    equal([note["erased"] for note in plugin.notes if "erased" in note], [[answers[0]["id"]]], "what it is to forget")


if __name__ == "__main__":
    harness.main()
