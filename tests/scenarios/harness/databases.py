"""databases - SQLite, PostgreSQL and MariaDB of the test's own, and a client for all three over ODBC.

Servers listen on a Unix socket in their own folder and nowhere else; each is started once a program and ended by its pid.
"""

import atexit
import ctypes
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import harness

NOBODY = 65534
START_S = 30
POSTGRESQL_BIN = "/usr/lib/postgresql/15/bin"
DRIVERS = {"SQLite": "libsqlite3odbc.so", "PostgreSQL": "psqlodbcw.so", "MariaDB": "libmaodbc.so"}


def driver(name):
    found = glob.glob(f"/usr/lib/*/odbc/{DRIVERS[name]}")
    harness.check(found, f"the ODBC driver of {name} is installed")
    return found[0]


class Client:
    """A connection: query() gives rows of texts, None for NULL. Each statement is a transaction unless begin() was said."""

    def __init__(self, connection):
        self.odbc = ctypes.CDLL("libodbc.so.2")
        for function in ("SQLAllocHandle", "SQLSetEnvAttr", "SQLDriverConnect", "SQLExecDirect", "SQLFetch", "SQLGetData",
                         "SQLFreeHandle", "SQLDisconnect", "SQLNumResultCols", "SQLSetConnectAttr", "SQLEndTran"):
            getattr(self.odbc, function).restype = ctypes.c_short
        self.environment, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        self.odbc.SQLAllocHandle(1, None, ctypes.byref(self.environment))
        self.odbc.SQLSetEnvAttr(self.environment, 200, ctypes.c_void_p(3), 0)
        self.odbc.SQLAllocHandle(2, self.environment, ctypes.byref(self.connection))
        text = connection.encode()
        code = self.odbc.SQLDriverConnect(self.connection, None, text, len(text), None, 0, None, 0)
        if code not in (0, 1):
            self.error(2, self.connection, "connect")

    def error(self, kind, handle, what):
        state, native, text = ctypes.create_string_buffer(6), ctypes.c_int(), ctypes.create_string_buffer(512)
        self.odbc.SQLGetDiagRec(kind, handle, 1, state, ctypes.byref(native), text, 512, None)
        raise OSError(f"{what}: {state.value.decode()} {native.value} {text.value.decode(errors='replace')}")

    def query(self, sql):
        statement, columns, rows = ctypes.c_void_p(), ctypes.c_short(), []
        self.odbc.SQLAllocHandle(3, self.connection, ctypes.byref(statement))
        try:
            text = sql.encode()
            if self.odbc.SQLExecDirect(statement, text, len(text)) not in (0, 1, 100):
                self.error(3, statement, sql)
            self.odbc.SQLNumResultCols(statement, ctypes.byref(columns))
            while columns.value and self.odbc.SQLFetch(statement) in (0, 1):
                rows.append(tuple(self.cell(statement, i + 1) for i in range(columns.value)))
        finally:
            self.odbc.SQLFreeHandle(3, statement)
        return rows

    def cell(self, statement, column):
        text, size = ctypes.create_string_buffer(4096), ctypes.c_long()
        self.odbc.SQLGetData(statement, column, 1, text, 4096, ctypes.byref(size))
        return None if size.value == -1 else text.value.decode()

    def begin(self):
        self.odbc.SQLSetConnectAttr(self.connection, 102, ctypes.c_void_p(0), 0)

    def rollback(self):
        self.odbc.SQLEndTran(2, self.connection, 1)
        self.odbc.SQLSetConnectAttr(self.connection, 102, ctypes.c_void_p(1), 0)

    def close(self):
        self.odbc.SQLDisconnect(self.connection)
        self.odbc.SQLFreeHandle(2, self.connection)
        self.odbc.SQLFreeHandle(1, self.environment)


class Server:
    """A server with its folder, as the user nobody where we are root: PostgreSQL refuses root."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="enl-db-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(0o700)
        self.process, self.databases = None, 0
        if os.getuid() == 0:
            for path in (self.folder, self.data):
                os.chown(path, NOBODY, NOBODY)
        atexit.register(self.remove)

    def command(self, *words):
        words = [str(word) for word in words]
        if os.getuid() != 0:
            return words
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *words]

    def start(self):
        with open(self.folder / "log", "a") as log:
            environment = {"PATH": f"{POSTGRESQL_BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LC_ALL": "C"}
            self.process = subprocess.Popen(self.command(*self.server()), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=environment, cwd=self.folder)
        harness.wait_until(self.answers, f"{self.name} answers\n{(self.folder / 'log').read_text()[-2000:]}", START_S)

    def answers(self):
        harness.check(self.process.poll() is None, f"{self.name} runs", (self.folder / "log").read_text()[-2000:])
        try:
            Client(self.connection(self.first)).close()
            return True
        except OSError:
            return False

    def kill(self):
        """Without a word to those it serves, and to be recovered at the next start."""
        self.process.send_signal(self.end)
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new(self):
        """The connection string of a new, empty database."""
        if self.process is None:
            self.start()
        self.databases += 1
        client = Client(self.connection(self.first))
        client.query(f"CREATE DATABASE test{self.databases}")
        client.close()
        return self.connection(f"test{self.databases}")


class PostgreSQL(Server):
    name, first = "PostgreSQL", "postgres"
    end = signal.SIGQUIT  # takes the processes of its connections along

    def __init__(self):
        super().__init__()
        harness.run(self.command("env", f"HOME={self.folder}", "LC_ALL=C", f"{POSTGRESQL_BIN}/initdb", "-D", self.data, "-U",
                                 "enlight", "--auth=trust", "--no-locale", "-E", "UTF8", "--no-sync"), cwd=self.folder)

    def server(self):
        return [f"{POSTGRESQL_BIN}/postgres", "-D", self.data, "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off",
                "-c", "port=5432"]

    def connection(self, database):
        return f"Driver={driver(self.name)};Servername={self.folder};Port=5432;Database={database};Username=enlight"


class MariaDB(Server):
    name, first = "MariaDB", ""
    end = signal.SIGKILL

    def __init__(self):
        super().__init__()
        self.start()  # what is made at the first start is whole after the first end
        self.stop()

    def server(self):
        return ["mariadbd", "--no-defaults", f"--datadir={self.data}", f"--socket={self.folder}/socket", "--skip-networking",
                "--skip-grant-tables", "--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin",
                "--innodb-flush-method=fsync", "--innodb-buffer-pool-size=32M"]

    def connection(self, database):
        return f"Driver={driver(self.name)};SOCKET={self.folder}/socket;UID=root;DATABASE={database}"


class SQLite:
    name = "SQLite"

    def new(self):
        return f"Driver={driver(self.name)};Database={harness.folder('sqlite')}/registrar.db"


_servers = {}


def server(name):
    """The server of that name, made when it is asked for first."""
    if name not in _servers:
        _servers[name] = {"SQLite": SQLite, "PostgreSQL": PostgreSQL, "MariaDB": MariaDB}[name]()
    return _servers[name]
