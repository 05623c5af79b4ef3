# SPDX-License-Identifier: Apache-2.0
"""An asyncio server with all that Python programs have beside them: threads, processes with semaphores,
shared memory, queues and a manager, a child on pipes, SQLite with an open transaction.  A line
"check" at port 8000 lets each of them work once more and is answered by one line: the count of each.
"""
import asyncio, hashlib, multiprocessing as mp, os, signal, sqlite3, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory


class Threads:
    """Each hashes on its own chain; anybody can compute it anew."""

    def __init__(self):
        self.state = [(0, b"%d" % i) for i in range(8)]
        self.lock, self.wake = threading.Lock(), threading.Condition()
        for i in range(8):
            threading.Thread(target=self.run, args=(i,), daemon=True).start()

    def run(self, i):
        while True:
            with self.lock:
                n, h = self.state[i]
            h = hashlib.sha256(h).digest()
            with self.lock:
                self.state[i] = n + 1, h
            with self.wake:
                self.wake.wait(0.005)

    def check(self):
        with self.lock:
            state = list(self.state)
        for i, (n, h) in enumerate(state):
            want = b"%d" % i
            for _ in range(n):
                want = hashlib.sha256(want).digest()
            assert want == h, "thread %d" % i
        return sum(n for n, _ in state)


def worker(jobs, done, sem, shm_name, shared):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    shm = shared_memory.SharedMemory(shm_name)
    for job in iter(jobs.get, None):
        with sem:
            n = int.from_bytes(shm.buf[:8], "little") + 1
            shm.buf[:8] = n.to_bytes(8, "little")
        shared[os.getpid()] = shared.get(os.getpid(), 0) + 1
        done.put(job * job)


class Processes:
    def __init__(self):
        self.manager = mp.Manager()
        self.shared = self.manager.dict()
        self.jobs, self.done, self.sem = mp.Queue(), mp.Queue(), mp.BoundedSemaphore(1)
        self.shm = shared_memory.SharedMemory(create=True, size=1 << 20)
        self.shm.buf[8:16] = b"constant"
        self.workers = [mp.Process(target=worker, daemon=True,
                                   args=(self.jobs, self.done, self.sem, self.shm.name, self.shared)) for _ in range(3)]
        for w in self.workers:
            w.start()

    def check(self):
        for i in range(30):
            self.jobs.put(i)
        assert sorted(self.done.get(timeout=20) for _ in range(30)) == [i * i for i in range(30)]
        assert all(w.is_alive() for w in self.workers) and bytes(self.shm.buf[8:16]) == b"constant"
        n = int.from_bytes(self.shm.buf[:8], "little")
        assert n == sum(self.shared.values()) and n % 30 == 0
        return n // 30


class Child:
    def __init__(self):
        code = "import sys\nfor n, l in enumerate(sys.stdin): print(n + 1, l.strip()[::-1], flush=True)"
        self.child, self.n = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True, bufsize=1), 0

    def check(self):
        self.n += 1
        self.child.stdin.write("abc\n")
        assert self.child.stdout.readline() == "%d cba\n" % self.n
        return self.n


class Database:
    """What is inserted stays in a transaction, while another connection sees what was committed."""

    def __init__(self):
        self.n, name = 0, "/srv/db.sqlite"
        if os.path.exists(name):
            os.unlink(name)
        self.db = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        assert self.db.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
        self.db.execute("CREATE TABLE t(n)")
        self.reader = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        self.db.execute("BEGIN IMMEDIATE")

    def check(self):
        self.n += 1
        self.db.execute("INSERT INTO t VALUES(?)", (self.n,))
        assert self.db.execute("SELECT count(*), max(n) FROM t").fetchone() == (self.n, self.n)
        assert self.reader.execute("SELECT count(*) FROM t").fetchone() == (0,)
        return self.n


async def ticks(state):
    while True:
        await asyncio.sleep(0.01)
        state[0] += 1


async def main():
    parts, ticked, pool = [Threads(), Processes(), Child(), Database()], [0], ThreadPoolExecutor(2)
    loop = asyncio.get_running_loop()
    ticker = asyncio.create_task(ticks(ticked))
    conversations = 0

    async def serve(reader, writer):
        nonlocal conversations
        async for line in reader:
            conversations += 1
            if line.strip() == b"check":
                n = ticked[0]
                counts = [str(await loop.run_in_executor(pool, p.check)) for p in parts]
                await asyncio.sleep(0.02)
                assert ticked[0] > n and not ticker.done()
                writer.write((" ".join(counts) + "\n").encode())
            else:
                writer.write(b"%d\n" % conversations)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "0.0.0.0", 8000)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
