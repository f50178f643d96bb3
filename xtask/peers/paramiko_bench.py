"""Measures paramiko: for each line `LANES COUNT` read, prints commands a second."""

import sys
import threading
import time

import paramiko

port, user, key, known_hosts = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

client = paramiko.SSHClient()
client.load_host_keys(known_hosts)
client.connect(
    "127.0.0.1",
    port=port,
    username=user,
    key_filename=key,
    allow_agent=False,
    look_for_keys=False,
)


def lane(count):
    for _ in range(count):
        _, stdout, _ = client.exec_command("echo ok")
        if stdout.read() != b"ok\n":
            raise SystemExit("`echo ok` printed something else")


lane(5)
for line in sys.stdin:
    lanes, count = map(int, line.split())
    each = -(-count // lanes)
    started = time.perf_counter()
    threads = [threading.Thread(target=lane, args=(each,)) for _ in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(each * lanes / (time.perf_counter() - started), flush=True)
