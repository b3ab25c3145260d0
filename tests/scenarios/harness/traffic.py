"""traffic - members that publish all the time, the proof that nothing of it is lost or there twice; links that come and go; thieves."""

import shutil
import threading
import time

import harness
from harness import equal, wait_until
from harness.node import Node, course, forgiving


class Traffic:
    """Publishes at a node, one event after the other, until it is told to stop; what was not answered is sent again."""

    def __init__(self, node):
        self.node, self.sent, self.ending = node, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        harness.at_exit(self.stop)

    def run(self):
        while not self.ending.is_set():
            event, done = course(self.node.member.handle), False
            while not done and not self.ending.is_set():
                with forgiving():
                    done = self.node.post(event).status in (200, 201)
                time.sleep(harness.POLL_S)  # light traffic
            if done:
                self.sent.append(event["id"])

    def more(self, n=3):
        """Waits until so many more were accepted."""
        wanted = len(self.sent) + n
        wait_until(lambda: len(self.sent) >= wanted, f"{n} more events at {self.node.member.handle}")

    def stop(self):
        self.ending.set()
        self.thread.join()
        return self.sent


def check_all_hold(nodes, traffic):
    """Every one of these nodes holds each event once and in order, and the publisher has everybody's receipt."""
    sent, publisher = traffic.stop(), traffic.node
    handle = publisher.member.handle
    for node in nodes:
        node.wait_for(handle, "network", len(sent))
        equal([event["id"] for event in node.events(source=handle)], sent, f"events of {handle} at {node.member.handle}")
        if node is not publisher:
            publisher.wait_receipt("network", node.member.handle, len(sent))


def steal(network, handle):
    """A second node of a member, with a copy of its keys; it only dials. It does not run yet."""
    victim = network[handle]
    folder = network.folder / "thief"
    shutil.copytree(victim.folder, folder, ignore=shutil.ignore_patterns("state", "api.sock", "log"))
    (folder / "state").mkdir(mode=0o700)
    thief = Node(victim.member, folder, None, network.build)
    text = victim.configuration.read_text().replace(str(victim.folder), str(folder))
    thief.configuration.write_text("".join(line for line in text.splitlines(True) if not line.startswith("link:")))
    harness.at_exit(thief.stop)
    return thief


def others(network, *handles):
    return [node for node in network.nodes if node.member.handle not in handles]


def wait_links(network, handle, state, nodes=None):
    """Waits until the member has this state at the others, and says in the report how long it took."""
    began = time.monotonic()
    for node in nodes or others(network, handle):
        wait_until(lambda: (node.peer(handle) or {"state": ""})["state"] == state, f"{handle} is {state} at {node.member.handle}")
    return time.monotonic() - began


def wait_gone(network, handle, nodes=None):
    began = time.monotonic()
    for node in nodes or others(network, handle):
        wait_until(lambda: (node.peer(handle) or {"state": ""})["state"] != "live", f"{handle} has no session with {node.member.handle}")
    print(f"# all sessions of {handle} gone after {time.monotonic() - began:.2f} s", flush=True)
