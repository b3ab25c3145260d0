"""Where `meson install` puts things, and whether systemd is content with the unit."""

import json
import pathlib
import re
import stat
import subprocess

import harness
from harness import check, equal
from harness.node import free_port

PROGRAMS = {"node/enlightd": "sbin/enlightd", "node/enlight": "bin/enlight", "plugins/ewp/enlight-ewp": "bin/enlight-ewp",
            "plugins/sql/enlight-sql": "libexec/enlight/plugins/enlight-sql"}


def program(path):
    return harness.PLAIN_BUILD / path


def options():
    """The directories that the plain build was set up with."""
    answer = harness.run(["meson", "introspect", "--buildoptions", harness.PLAIN_BUILD])
    return {option["name"]: option["value"] for option in json.loads(answer.stdout)}


def install(tree=None):
    """Installs the plain build into a tree of the test's own. Returns the tree, and where prefix and configuration are in it."""
    tree = tree or harness.folder("install")
    harness.run(["meson", "install", "-C", harness.PLAIN_BUILD, "--no-rebuild", "--destdir", tree])
    prefix = pathlib.Path(options()["prefix"])
    inside = [str(path).lstrip("/") for path in (prefix, prefix / options()["sysconfdir"] / "enlight/enlight.yaml")]
    return tree, tree / inside[0], tree / inside[1]


def test_files():
    """Daemon, command, unit, user, configuration, contracts and manuals stand where Debian users look"""
    tree, prefix, configuration = install()
    expected = {
        prefix / "lib/systemd/system/enlightd.service": 0o644,
        prefix / "lib/sysusers.d/enlight.conf": 0o644,
        prefix / "share/enlight/proto/enlight/event/v1/common.proto": 0o644,
        prefix / "share/enlight/proto/enlight/link/v1/link.proto": 0o644,
        prefix / "share/enlight/proto/enlight/log/v1/log.proto": 0o644,
        prefix / "share/enlight/proto/enlight/plugin/v1/plugin.proto": 0o644,
        prefix / "share/enlight/proto/verify.py": 0o755,
        prefix / "include/enlight/enlight-plugin.h": 0o644,
        prefix / "include/enlight/event/v1/course.pb-c.h": 0o644,
        prefix / "share/doc/enlight/README.md": 0o644,
        prefix / "share/doc/enlight/examples/enlight.yaml": 0o644,
        configuration: 0o644,
    }
    expected.update({prefix / place: 0o755 for name, place in PROGRAMS.items() if program(name).exists()})
    for path, mode in expected.items():
        check(path.is_file(), f"{path.relative_to(tree)} is not there")
        equal(oct(stat.S_IMODE(path.stat().st_mode)), oct(mode), f"mode of {path.relative_to(tree)}")


def test_links():
    """Each document that an installed document links to is installed too"""
    _, prefix, _ = install()
    documents = list((prefix / "share/doc/enlight").rglob("*.md"))
    check(len(documents) > 1, "documents", documents)
    for document in documents:
        for link in re.findall(r"\]\((?!https?:)([^)#]+\.md)", document.read_text()):
            check((document.parent / link).is_file(), f"{document.relative_to(prefix)} links to {link}")


def test_nothing_else():
    """Nothing of the build itself is installed: no library but the SDK's, no header but what it needs, no Meson file, no test"""
    tree, _, _ = install()
    strays = [path for path in tree.rglob("*")
              if path.suffix in (".a", ".so", ".h", ".build", ".in") or path.name.startswith("test_")]
    strays = [path for path in strays if not re.search(
        r"/lib/.*/libenlight-plugin(-test)?\.a$|/include/enlight/(enlight-plugin(-test)?\.h|event/v1/\w+\.pb-c\.h)$", str(path))]
    equal(strays, [], "files that nobody asked for")


def test_configuration_is_kept():
    """A configuration that is there already is never replaced"""
    tree, _, configuration = install()
    configuration.write_text("member: ugent.be\n")
    install(tree)
    equal(configuration.read_text(), "member: ugent.be\n", "the operator's own file")


def test_configuration_is_kept_by_init():
    """`enlight init` replaces the configuration that was installed, and none that somebody has changed"""
    _, _, configuration = install()
    enlight = [program("node/enlight"), "init", "--quiet", "--member", "ugent.be", "--country", "BE", "--name", "Universiteit Gent",
               configuration.parent]
    example = configuration.read_text()
    configuration.write_text(example + "# ours\n")
    said = harness.run(enlight, expect=73).stderr
    check(f"{configuration}: is there already" in said, "what it says of a changed one", said)
    equal(sorted(path.name for path in configuration.parent.iterdir()), ["enlight.yaml"], "what is in the folder")
    configuration.write_text(example)
    harness.run(enlight)


def test_setting_up():
    """What deploy/README.md says after the installation, in its order, ends in a node that starts"""
    _, _, configuration = install()
    folder, work = configuration.parent, harness.folder("partner")
    port = free_port()
    enlight = lambda *words: harness.run([program("node/enlight"), "--quiet", *words], cwd=work)
    enlight("init", "--member", "ugent.be", "--country", "BE", "--name", "Universiteit Gent", "--endpoint",
            f"tcp://127.0.0.1:{port}", "--listen", f"tcp://127.0.0.1:{port}", folder)
    enlight("init", "--member", "ut.ee", "--country", "EE", "--name", "Tartu Ülikool", work / "ut.ee")
    enlight("roster", "new", "--network", "test", "--output", "draft.note", folder / "ugent.be.member",
            work / "ut.ee/ut.ee.member")
    for name, place in (("ugent.be", folder), ("ut.ee", work / "ut.ee")):
        enlight("roster", "sign", "--identity", place / "identity.key", "--output", f"{name}.note", "draft.note")
    enlight("roster", "merge", "--output", "roster.note", "ugent.be.note", "ut.ee.note")
    enlight("roster", "adopt", "roster.note", folder)
    enlight("card", "new", folder)
    enlight("check-config", configuration)
    daemon = subprocess.Popen([str(program("node/enlightd")), "--config", str(configuration)], stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    harness.at_exit(daemon.wait)
    harness.at_exit(daemon.terminate)
    harness.wait_until(lambda: "ready\n" in harness.run([program("node/enlight"), "--config", configuration, "status"],
                                                         expect=None).stdout, "the node is ready")


def placed_unit():
    """The unit with the daemon's path as it is in the tree, as for systemd only that differs from a real installation."""
    tree, prefix, _ = install()
    unit = prefix / "lib/systemd/system/enlightd.service"
    daemon = options()["prefix"] + "/sbin/enlightd"
    text = unit.read_text()
    check(f"ExecStart={daemon} " in text, "the unit starts the daemon that was installed", text)
    placed = harness.folder("unit") / "enlightd.service"
    stand_in = f"{tree}{daemon}" if program("node/enlightd").exists() else "/bin/true"
    placed.write_text(text.replace(f"ExecStart={daemon} ", f"ExecStart={stand_in} "))
    return placed


def test_unit_is_valid():
    """systemd finds nothing to complain about in the unit"""
    said = harness.run(["systemd-analyze", "verify", "--man=no", placed_unit()])
    equal((said.stdout + said.stderr).strip(), "", "what systemd-analyze says of the unit")


def test_unit_is_tight():
    """By systemd's own measure the unit is exposed to almost nothing: at most 2.0 of 10"""
    harness.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", placed_unit()])


def test_dependencies_are_there():
    """Once everything is installed, deploy/dependencies does nothing and says nothing"""
    for purpose in ("run", "build", "test"):
        said = harness.run([pathlib.Path(harness.ROOT) / "deploy/dependencies", purpose])
        equal(said.stdout + said.stderr, "", f"what `deploy/dependencies {purpose}` says")


if __name__ == "__main__":
    harness.main()
