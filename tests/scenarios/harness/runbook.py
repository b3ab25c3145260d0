"""runbook - the commands of deploy/README.md, taken from the page and run as they stand there, each at the node of whoever runs it.

A block of a runbook is what one person does. Words in capitals stand for what differs: HANDLE, MEMBER, DIGEST. So a command that no
longer works, or that the page has no more, fails a scenario.
"""

import re

import harness
from harness import check, notes

PAGE = harness.ROOT / "deploy/README.md"


def blocks(title):
    """The blocks of one runbook: of each the commands, without comments."""
    text = PAGE.read_text()
    check(f"\n### {title}\n" in text, f"there is a runbook: {title}")
    section = re.split(r"^##", text.split(f"\n### {title}\n")[1], maxsplit=1, flags=re.M)[0]
    found = []
    for block in re.findall(r"(?:^    \S.*\n(?:^     .*\n)*)+", section, re.M):
        whole = re.sub(r"\\\n\s+", "", block)
        found.append([re.sub(r"\s+# .*", "", line).strip() for line in whole.splitlines()])
    return found


class Desk:
    """Where an operator works: a folder for what is mailed to and fro, and the command for one node. Without a node: a machine that is
    not connected."""

    def __init__(self, folder, node=None, build=None):
        self.folder, self.node = folder, node
        tools = harness.folder("tools")
        configuration = node.configuration if node else "/nowhere"
        (tools / "enlight").write_text(f"#!/bin/sh\nexec {build or node.build}/node/enlight --config {configuration} \"$@\"\n")
        (tools / "enlight").chmod(0o755)
        self.path = f"{tools}:/usr/bin:/bin"

    def follow(self, commands, expect=0, **words):
        """Runs the commands with these words in place; `typed` is the passphrase that is asked for, `expect` how the last one ends. Returns
        what they printed."""
        typed, printed = words.pop("typed", ""), ""
        if self.node:
            words = {"/etc/enlight": self.node.folder, "/var/lib/enlight": self.node.folder / "state", **words}
        for place, command in enumerate(commands, 1):
            for word, value in words.items():
                command = command.replace(word, str(value))
            if command.startswith("systemctl "):
                self.control(command.split()[1])
                continue
            printed += harness.run(["bash", "-e", "-c", command], cwd=self.folder, input=typed, env={"PATH": self.path},
                                   expect=expect if place == len(commands) else 0).stdout
        return printed

    def control(self, what):
        if what in ("stop", "restart"):
            self.node.stop()
        if what in ("start", "restart", "enable"):
            self.node.start()


def write_identity(member, path=None):
    """The member's identity key as the command reads it; without `path` beside its node, where in life it never is."""
    path = path or member.node.folder / "identity.key"
    path.write_text(f"enlight identity 1\nmember {member.handle}\npublic {notes.b64(bytes(member.identity.verify_key))}\n"
                    f"secret {notes.b64(bytes(member.identity))}\n")
    path.chmod(0o600)
    return path
