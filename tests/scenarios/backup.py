"""A node's store is backed up while it works, and put back on a new disk."""

import json
import os
import pwd
import shutil
import signal
import sqlite3
import subprocess

import harness
from harness import check, equal, faults, wait_until
from harness.node import Network, course
from harness.runbook import write_identity
from harness.traffic import Traffic
from plugins import Plugin, contracts, rows


def add_plugin(node):
    """A plugin that notes what it has done, in the configuration of a node that does not run."""
    plugin = Plugin(harness.folder("plugin"), contracts(), "registrar")
    with open(node.configuration, "a") as file:
        file.write(rows(plugin))
    return plugin


def done(plugin):
    return [event["id"] for event in plugin.events]


def lose_disk(node):
    """State and store key are gone; the node key was kept elsewhere, and the configuration."""
    shutil.rmtree(node.folder / "state")
    (node.folder / "keys" / "store.key").unlink()


def open_key_offline(node, backup):
    """What the offline machine sees of a backup is its first ten lines; what comes back is the opened store key."""
    safe = harness.folder("safe")
    head = backup.read_bytes().split(b"\n", 10)[:10]
    (safe / "head").write_bytes(b"\n".join(head) + b"\n")
    node.enlight("backup", "key", "--identity", node.folder / "identity.key", "--output", safe / "store.key", safe / "head")
    return safe / "store.key"


@harness.limit(120)
def test_disk_lost():
    """A node that publishes is backed up meanwhile; its disk is lost, restored, and it goes on with every event that anybody was told of"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"])
    node = network["ugent.be"]
    write_identity(node.member)
    plugin = add_plugin(node)
    network.start()
    node.publish([course("ugent.be", title="x" * 200) for _ in range(400)])
    network["ut.ee"].publish([course("ut.ee") for _ in range(50)])
    first = [event["id"] for event in plugin.wait(50)]
    wait_until(lambda: node.ask("/v1/plugins")["plugins"][0]["behind_batches"] == 0, "the plugin's cursor is at the end")
    traffic = Traffic(node)
    traffic.more()
    backup = node.folder / "enlight.backup"
    node.enlight("backup", "--output", backup, "--reason", "before the move")
    traffic.more()
    network["ut.ee"].publish([course("ut.ee") for _ in range(5)])
    plugin.wait(55)

    equal(backup.stat().st_mode & 0o777, 0o600, "mode of the backup")
    equal([path.name for path in (node.folder / "state").iterdir() if path.name.startswith("backup")], [], "left behind")
    equal(node.ask("/v1/status")["backup"]["age_days"], 0, "age of the last backup")
    check(node.metric("enlight_backup_time_seconds") > 0, "the metrics tell when it was")
    acts = node.events(topic="node.act", data="true")
    equal([(a["data"]["act"], a["data"].get("reason")) for a in acts if a["data"]["act"] == "store.backup"],
          [("store.backup", "before the move")], "the audit trail")
    check("is there already" in node.enlight("backup", "--output", backup, expect=73).stderr, "not written over")
    check("stop it first" in node.enlight("restore", "--identity", node.folder / "identity.key", backup, node.folder,
                                     expect=75).stderr, "a running node's store is left alone")

    sent = traffic.stop()
    for member in ("rug.nl", "ut.ee"):
        node.wait_receipt("network", member, 400 + len(sent))
    node.stop()
    lose_disk(node)
    key = open_key_offline(node, backup)
    node.enlight("restore", "--key", key, backup, node.folder)
    with sqlite3.connect(f"file:{node.folder}/state/enlight.db?mode=ro", uri=True) as database:
        incarnation = database.execute("SELECT value FROM setting WHERE name = 'restored'").fetchone()
    check(int(incarnation[0]) > 2, "the incarnation in which it goes on is one that nobody had before", incarnation)
    node.start()
    node.wait_for("ugent.be", "network", 400 + len(sent))
    equal([event["id"] for event in node.events(source="ugent.be", audience="network")][400:], sent, "events after the restore")
    node.publish([course("ugent.be")])
    for member in ("rug.nl", "ut.ee"):
        network[member].wait_for("ugent.be", "network", 401 + len(sent))
        equal(network[member].channel("ugent.be", "network")["incarnation"], int(incarnation[0]), "incarnation")
        equal(network[member].metric("enlight_incarnations_raised_total"), 1, "a reader's alarm")
        equal(network[member].metric("enlight_forks_total"), 0, "forks")
    node.enlight("doctor")
    wait_until(lambda: len(done(plugin)) == 60, "the plugin has got again what it did after the backup")
    equal(done(plugin)[:50], first, "what it had done before it")
    equal(sorted(done(plugin)[50:55]), sorted(done(plugin)[55:]), "what it did after it")


def test_backup_given_up():
    """A backup that nobody fetches any more is given up and leaves nothing; a second one waits for the first, and a node that stops for none"""
    network = Network(["rug.nl", "ugent.be"]).start()
    node = network["ugent.be"]
    for _ in range(10):
        node.publish([course("ugent.be", title="x" * 2000) for _ in range(40)])
    equal(node.request("GET", "/v1/backup").status, 404, "no backup")
    equal(node.request("POST", "/v1/backup").status, 201, "begun")
    refused = node.request("POST", "/v1/backup")
    equal((refused.status, refused.errors[0][1]), (503, "another backup is being made"), "a second one")
    equal(node.request("DELETE", "/v1/backup").status, 200, "given up")
    equal(node.request("GET", "/v1/backup").status, 404, "it is gone")
    wait_until(lambda: node.request("POST", "/v1/backup").status == 201, "another may begin")
    equal([path.name for path in (node.folder / "state").iterdir() if path.name.startswith("backup")], [], "left behind")
    equal(node.ask("/v1/status")["backup"]["age_days"], -1, "none was kept")
    node.stop()
    node.start()
    equal(node.request("GET", "/v1/backup").status, 404, "no backup after a restart")


@harness.limit(120)
def test_restore_refused():
    """A backup that is damaged, of another member, or of another key is refused before anything is changed"""
    network = Network(["rug.nl", "ugent.be"]).start()
    node, other = network["ugent.be"], network["rug.nl"]
    for each in (node, other):
        write_identity(each.member)
    node.publish([course("ugent.be") for _ in range(20)])
    backup, bad = node.folder / "enlight.backup", node.folder / "bad.backup"
    identity = ("--identity", node.folder / "identity.key")
    node.enlight("backup", "--output", backup)
    node.stop()
    other.stop()
    before = (node.folder / "state" / "enlight.db").read_bytes()

    content = bytearray(backup.read_bytes())
    content[-5000] ^= 1
    bad.write_bytes(content)
    forged = node.folder / "forged.backup"
    forged.write_bytes(backup.read_bytes().replace(b"\nversion ", b"\nversion 9", 1))
    cases = [
        ((*identity, "--replace", forged), node, 65, "somebody else made it or changed it"),
        ((*identity, backup), node, 73, "is there already"),
        ((*identity, "--replace", bad), node, 65, "is damaged"),
        (("--identity", other.folder / "identity.key", "--replace", backup), node, 65, "another identity key"),
        ((*identity, backup), other, 65, "is a backup of ugent.be"),
        (("--key", other.folder / "keys" / "store.key", "--replace", backup), node, 65, "does not open"),
        ((*identity, node.configuration), node, 65, "is no backup"),
    ]
    for words, where, status, text in cases:
        said = where.enlight("restore", *words, where.folder, expect=status).stderr
        check(text in said, f"restore {words}", said)
    equal((node.folder / "state" / "enlight.db").read_bytes(), before, "the store")
    left = sorted(path.name for path in (node.folder / "state").iterdir())
    equal([name for name in left if "restoring" in name], [], "left behind")

    node.enlight("restore", *identity, "--replace", backup, node.folder)
    kept = [path for path in (node.folder / "state").iterdir() if ".until-" in path.name]
    equal([path.read_bytes() for path in kept if path.name.startswith("enlight.db.until-") and not path.name.endswith(("-wal", "-shm"))],
          [before], "the store that was there")
    node.start()
    equal(len(node.events(source="ugent.be", audience="network")), 20, "events")


def told_to_end(node, *words):
    """What a command says that has been told to end already, and its status."""
    def tell():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.kill(os.getpid(), signal.SIGTERM)
    done = subprocess.run([str(word) for word in (node.build / "node/enlight", "--config", node.configuration, *words)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, preexec_fn=tell, timeout=60)
    return done.returncode, done.stderr


def files(folder):
    """The files in a folder with what is in them."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@harness.limit(120)
def test_in_vain():
    """A backup or a restore that is told to end, fails at its last step, or is only tried leaves the store, its key and the folders as they were"""
    node = Network(["rug.nl", "ugent.be"]).start()["ugent.be"]
    write_identity(node.member)
    state, keys, backup, safe = node.folder / "state", node.folder / "keys", node.folder / "enlight.backup", harness.folder("safe")
    for _ in range(10):
        node.publish([course("ugent.be", title="x" * 2000) for _ in range(40)])  # so that copying takes more than a moment
    equal(told_to_end(node, "backup", "--output", safe / "file"), (75, "enlight: ended; nothing was kept\n"), "a backup told to end")
    equal(files(safe), {}, "what it left")
    check("is no file" in node.enlight("backup", "--replace", "--output", safe, expect=73).stderr, "not to a folder")
    node.enlight("backup", "--output", backup)
    (safe / "store.key").write_text("mine")
    refused = node.enlight("backup", "key", "--identity", safe / "none", "--output", safe / "store.key", backup, expect=73).stderr
    check("File exists" in refused, "found before the identity key is asked for", refused)
    node.stop()

    restore = ("restore", "--identity", node.folder / "identity.key", "--replace", backup, node.folder)
    (keys / "store.key").write_text("ab" * 32 + "\n")
    before = files(state), files(keys)
    status, said = told_to_end(node, *restore)
    equal((status, "ended; nothing was changed" in said), (75, True), said)
    equal([name for name in files(state) if "restoring" in name], [], "the copy")
    last = faults.command(node, "rename:error=EIO:when=3")  # of the copy, the key, and the store
    said = harness.run([*last, node.build / "node/enlight", *restore], expect=73, env={"ASAN_OPTIONS": "detect_leaks=0"}).stderr
    check(f"{state}/enlight.db and its key {keys}/store.key are as they were" in said, "it names both", said)
    (state / "enlight.db.lock").write_bytes(before[0]["enlight.db.lock"])
    for folder, was in ((state, before[0]), (keys, before[1])):
        equal(sorted(files(folder)), sorted(was), "files")
    equal((files(state), files(keys)), before, "store and key")

    shutil.rmtree(state)
    check("would put" in node.enlight("--dry-run", *restore).stderr, "tried only")
    check(not state.exists(), "it makes no folder")
    trailing = node.folder / "trailing.backup"
    trailing.write_bytes(backup.read_bytes() + b"x")
    check("is damaged" in node.enlight(*restore[:4], trailing, node.folder, expect=65).stderr, "a backup that goes on behind its end")
    node.enlight(*restore)
    equal([name for name in files(state) if "restoring" in name], [], "left behind")


def lay_down(folder, content):
    """The files are as they were, and there are no others."""
    for path in folder.iterdir():
        path.unlink()
    for name, text in content.items():
        (folder / name).write_bytes(text)
        (folder / name).chmod(0o600)


def kill_restore(node, restore, call, number):
    """What becomes of a restore that is killed at its `number`th call of this kind: "before" it changed anything, "after" all was in place, or "again"
    when it had to be run again. "done": it makes no more such calls."""
    state = node.folder / "state"
    database = (state / "enlight.db").read_bytes()
    command = [*faults.command(node, f"{call}:signal=KILL:when={number}"), node.build / "node/enlight", *restore]
    done = subprocess.run([str(word) for word in command], capture_output=True, env={"ASAN_OPTIONS": "detect_leaks=0"}, timeout=60)
    if done.returncode == 0:
        return "done"
    check("KILL" in (node.folder / "strace").read_text(), "it was killed", done)
    if not (state / "enlight.db.unfinished").exists():
        return "before" if (state / "enlight.db").read_bytes() == database else "after"
    refused = harness.run([node.build / "node/enlightd", "--config", node.configuration], expect=78).stderr
    check("enlight restore was interrupted" in refused, "the node says it", refused)
    check("a restore was interrupted" in node.enlight(*restore).stderr, "the next one says it")
    return "again"


@harness.limit(240)
def test_killed():
    """Killed at any step a restore leaves store and key that belong together, or a node that says to run it again, and then all is in place"""
    node = Network(["rug.nl", "ugent.be"]).start()["ugent.be"]
    write_identity(node.member)
    state, keys, backup = node.folder / "state", node.folder / "keys", node.folder / "enlight.backup"
    node.enlight("backup", "--output", backup)
    node.publish([course("ugent.be")])
    node.kill()  # so that there is a WAL
    new_key = (keys / "store.key").read_bytes()
    (keys / "store.key").write_text("ab" * 32 + "\n")
    store, old_keys = files(state), files(keys)
    restore = ("restore", "--identity", node.folder / "identity.key", "--replace", backup, node.folder)
    seen = {}
    for call in ("rename", "link", "unlink"):
        seen[call] = []
        while "done" not in seen[call]:
            lay_down(state, store)
            lay_down(keys, old_keys)
            seen[call].append(kill_restore(node, restore, call, len(seen[call]) + 1))
            here = f"{call} {len(seen[call])}: {seen[call][-1]}"
            if seen[call][-1] == "before":
                equal([files(state)[name] for name in ("enlight.db", "enlight.db-wal")], [store["enlight.db"], store["enlight.db-wal"]], here)
                equal(files(keys), old_keys, here)
                continue
            with sqlite3.connect(f"file:{state}/enlight.db?mode=ro", uri=True) as database:
                equal(database.execute("SELECT count(*) FROM setting WHERE name = 'restored'").fetchone(), (1,), here)
            equal((keys / "store.key").read_bytes(), new_key, here)
            kept = {path.name.split("Z")[-1]: path.read_bytes() for path in state.glob("enlight.db.until-*")}
            equal((kept[""], kept["-wal"]), (store["enlight.db"], store["enlight.db-wal"]), here)
            equal({path.read_bytes() for path in keys.glob("store.key.until-*")}, {old_keys["store.key"]}, here)
            check(not (state / "enlight.db.unfinished").exists(), here)
    equal((seen["rename"], seen["link"]), (["before", "again", "again", "done"], ["again"] * 4 + ["done"]), "steps")
    equal([what for what in seen["unlink"] if what not in ("before", "after")], ["again", "again", "done"], "steps")
    node.start()


@harness.limit(240)
def test_disk_that_syncs_no_more():
    """A disk that syncs nothing any more, from whatever step of a restore on, leaves store and key that belong together, or a node that does not start"""
    node = Network(["rug.nl", "ugent.be"]).start()["ugent.be"]
    write_identity(node.member)
    state, keys, backup = node.folder / "state", node.folder / "keys", node.folder / "enlight.backup"
    node.enlight("backup", "--output", backup)
    node.stop()
    new_key = (keys / "store.key").read_bytes()
    (keys / "store.key").write_text("ab" * 32 + "\n")
    store, old_keys = files(state), files(keys)
    restore = ("restore", "--identity", node.folder / "identity.key", "--replace", backup, node.folder)
    status, number, kept_out = None, 0, 0
    while status != 0:
        number += 1
        lay_down(state, store)
        lay_down(keys, old_keys)
        command = [*faults.command(node, f"fsync,fdatasync:error=EIO:when={number}+"), node.build / "node/enlight", *restore]
        done = subprocess.run([str(word) for word in command], capture_output=True, env={"ASAN_OPTIONS": "detect_leaks=0"}, timeout=60)
        status = done.returncode
        if (state / "enlight.db.unfinished").exists():
            kept_out += 1
            continue
        here = ((state / "enlight.db").read_bytes() != store["enlight.db"], (keys / "store.key").read_bytes() == new_key)
        check(here in ((True, True), (False, False)), f"store and key after sync {number} failed for good", here, done.stderr)
    check(kept_out > 0 and here == (True, True), "some steps leave a node that does not start, and the last leaves all in place", kept_out, here)


NOBODY = 65534


def give(*folders):
    """All that is in them belongs to a user that is not root."""
    for folder in folders:
        harness.run(["chown", "-R", "--no-dereference", f"{NOBODY}:{NOBODY}", folder])


def configure_state(node, before, after):
    node.configuration.write_text(node.configuration.read_text().replace(f"state: {before}\n", f"state: {after}\n"))


def node_of_root():
    """A node that ran as root and was backed up, in a folder that others may pass through; and how it is restored."""
    if os.geteuid() != 0:
        raise harness.Skip("only root acts as others")
    node = Network(["rug.nl", "ugent.be"]).start()["ugent.be"]
    write_identity(node.member)
    node.enlight("backup", "--output", node.folder / "enlight.backup")
    node.stop()
    for folder in (node.folder, *node.folder.parents):
        if folder.stat().st_mode & 0o711 != 0o711:
            folder.chmod(0o711)
    return node, ("restore", "--identity", node.folder / "identity.key", "--replace", node.folder / "enlight.backup", node.folder)


def test_restore_by_root():
    """What root restores is done with the rights of who owns the folder: files are that one's, and a link leads nowhere that it could not reach"""
    node, restore = node_of_root()
    state, keys, roots = node.folder / "state", node.folder / "keys", harness.folder("root")
    victim = roots / "victim"
    victim.write_text("root's")
    (keys / "store.key").unlink()
    give(state, keys)
    node.enlight(*restore)
    seen = {(path.stat().st_uid, path.stat().st_gid) for folder in (state, keys) for path in (*folder.glob("enlight.*"), *folder.glob("store.*"))}
    equal(seen, {(NOBODY, pwd.getpwuid(NOBODY).pw_gid)}, "owners and groups")

    outside = harness.folder("outside")
    give(outside)
    os.chown(keys, 0, 0)
    (keys / "store.key").unlink()
    node.folder.chmod(0o700)
    configure_state(node, state, outside)
    node.enlight(*restore)
    equal([path.stat().st_uid for path in (outside / "enlight.db", keys / "store.key")], [NOBODY, 0], "each its folder's owner")
    configure_state(node, outside, state)
    node.folder.chmod(0o711)

    os.chown(state, 0, 0)
    state.chmod(0o1777)
    check("others may write in it" in node.enlight(*restore, expect=77).stderr, "root's folder that others may put links in")
    state.chmod(0o700)
    give(state)
    os.chown(node.configuration, NOBODY, -1)
    give(keys)
    configured = node.configuration.read_text()
    configure_state(node, state, roots)
    node.enlight(*restore, expect=77)
    equal(files(roots), {"victim": b"root's"}, "where a configuration of nobody's leads in root's folder")
    node.configuration.write_text(configured)
    os.chown(node.configuration, 0, -1)
    harness.run(["chown", "-R", "0:0", keys])

    lock = state / "enlight.db.lock"
    lock.unlink()
    lock.symlink_to(victim)
    check("enlight.db.lock" in node.enlight(*restore, expect=77).stderr, "a link under the lock's name")
    lock.unlink()
    home = node.folder / "home"
    home.mkdir()
    (home / "state").symlink_to(roots)
    configure_state(node, state, home / "state")
    node.enlight(*restore)  # home is root's still
    check((roots / "enlight.db").exists(), "where root alone decides a link is followed")
    for path in roots.glob("enlight.db*"):
        path.unlink()
    give(home)
    node.enlight(*restore, expect=77)
    equal(files(roots), {"victim": b"root's"}, "where nobody's link leads")

    give(node.folder)
    roots.chmod(0o755)
    configure_state(node, home / "state", roots)
    node.enlight(*restore, expect=77)
    equal(files(roots), {"victim": b"root's"}, "where nobody's configuration leads")
    harness.run(["chown", "-R", "4000000", state, keys])
    for path in (node.folder, node.configuration):
        os.chown(path, 0, 0)
    check("belongs to user 4000000" in node.enlight(*restore, expect=67).stderr, "a user that is not known")


def test_state_folder_by_root():
    """A state folder that root's restore finds missing becomes the node's user's, who owns the keys, or a message says what to do"""
    node, restore = node_of_root()
    state = node.folder / "state"
    shutil.rmtree(state)
    check(f"chown -R USER {state}" in node.enlight(*restore).stderr, "root's keys: whose the folder must be it cannot know")
    shutil.rmtree(state)
    give(node.folder / "keys")
    check(f"install -d -m 700 -o USER {state}" in node.enlight(*restore, expect=77).stderr, "where only root may make it")
    check(not state.exists(), "root makes none in its place")
    give(node.folder)
    node.enlight(*restore)
    equal({path.stat().st_uid for path in (state, *state.iterdir())}, {NOBODY}, "owners")


def batches(node):
    """What the store has of each batch, by number, but for when it was stored and the wrapped key."""
    with sqlite3.connect(f"file:{node.folder}/state/enlight.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT b.number, c.publisher, b.header, b.signature, b.body, b.digest, b.first, b.last"
                                " FROM batch b JOIN channel c ON c.id = b.channel ORDER BY b.number").fetchall()
    return {row[0]: row[1:] for row in rows}


def flip_bit(node, content):
    """One bit of what the database file has of these bytes changes, on a node that does not run."""
    path = node.folder / "state" / "enlight.db"
    file = bytearray(path.read_bytes())
    middle = content[len(content) // 2:][:48]
    equal(file.count(middle), 1, "places in the file")
    file[file.index(middle) + 20] ^= 4
    path.write_bytes(file)


def doctor(node, *options, expect):
    """Its findings about the store, by check: pairs of verdict and text."""
    rows = json.loads(node.enlight("doctor", "--json", *options, expect=expect).stdout)
    return {name: [(row["verdict"], row["found"]) for row in rows if row["check"] == name]
            for name in ("structure", "batches", "repair")}


@harness.limit(120)
def test_flipped_bits():
    """Flipped bits in batches of another and of its own a node finds and has mended by who has them; who is away is waited for; all is as before"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"]).start()
    node = network["ugent.be"]
    for _ in range(3):
        network["ut.ee"].publish([course("ut.ee") for _ in range(5)])
        node.publish([course("ugent.be") for _ in range(5)])
    node.wait_for("ut.ee", "network", 15)
    network["rug.nl"].wait_for("ugent.be", "network", 15)
    network["ut.ee"].wait_for("ugent.be", "network", 15)
    node.stop()
    before = batches(node)
    of = {publisher: [number for number in before if before[number][0] == publisher and before[number][6] == 10]
          for publisher in ("ugent.be", "ut.ee")}
    ours, theirs = of["ugent.be"][0], of["ut.ee"][0]
    flip_bit(node, before[ours][3])    # a body
    flip_bit(node, before[theirs][1])  # a header
    network["ut.ee"].stop()
    plugin = add_plugin(node)
    node.start()

    wait_until(lambda: "is damaged" in node.enlight("plugins").stdout, "plugins says what it waits for")
    equal(node.ask("/v1/status")["plugins"]["unreadable"], 1, "plugins that wait")
    found = doctor(node, expect=74)
    equal(sorted(verdict for verdict, _ in found["batches"]), ["FAIL", "FAIL"], "what doctor finds")
    check(any(f"batch {ours}, events 6 to 10 of ugent.be to network: its body does not open" in text
              for _, text in found["batches"]), "our own", found)
    wait_until(lambda: node.peer("rug.nl")["state"] == "live", "the link to rug.nl")
    found = doctor(node, "--repair", expect=74)
    equal(found["structure"], [("ok", "the database is well-formed")], "the database")
    equal(sorted(verdict for verdict, _ in found["repair"]), ["FAIL", "ok"], "what was mended")
    check(any("waits for ut.ee" in text for _, text in found["repair"]), "who is away is waited for", found)
    equal(node.ask("/v1/status")["store"]["repairs"], 1, "repairs that wait")
    check("damaged batches wait" in node.enlight("status").stdout, "status says so")

    network["ut.ee"].start()
    wait_until(lambda: node.ask("/v1/status")["store"]["repairs"] == 0, "it is mended by itself when ut.ee is back")
    found = doctor(node, "--store", expect=0)
    equal([verdict for verdict, _ in found["structure"] + found["batches"]], ["ok", "ok"], "doctor")
    after = batches(node)
    equal({number: after[number] for number in before}, before, "the store")
    network["ut.ee"].publish([course("ut.ee")])
    node.publish([course("ugent.be")])
    node.wait_for("ut.ee", "network", 16)
    plugin.wait(16)
    equal(done(plugin), [event["id"] for event in node.events(source="ut.ee", audience="network")], "what the plugin has done")
    check(node.log.read_text().count("waits for a damaged batch") <= 2, "the log says it once for each batch")
    for member in ("rug.nl", "ut.ee"):
        network[member].wait_for("ugent.be", "network", 16)
        equal(network[member].metric("enlight_forks_total"), 0, "forks")
    equal([a["data"]["act"] for a in node.events(topic="node.act", data="true")].count("store.repair"), 2, "the audit trail")


if __name__ == "__main__":
    harness.main()
