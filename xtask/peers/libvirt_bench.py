"""The peer of the benchmark `libvirt-verbs`: the verbs of a guest with libvirt-python.

Each verb looks at the state before, asks, and looks at the state after, as the verbs that it is
compared with do. For each number of guests that it reads from standard input it prints the verbs
that it carried out a second.
"""

import sys
import time
import uuid

import libvirt

OFF, RUNNING, PAUSED = (
    libvirt.VIR_DOMAIN_SHUTOFF,
    libvirt.VIR_DOMAIN_RUNNING,
    libvirt.VIR_DOMAIN_PAUSED,
)


def document(name, identity):
    return f"""<domain type='test'><name>{name}</name><uuid>{identity}</uuid>
<memory unit='KiB'>16384</memory><currentMemory unit='KiB'>16384</currentMemory><vcpu>1</vcpu>
<os><type>hvm</type><boot dev='hd'/></os><on_poweroff>destroy</on_poweroff>
<on_reboot>restart</on_reboot><on_crash>preserve</on_crash><devices><interface type='network'>
<mac address='00:16:3e:01:02:03'/><source network='default'/></interface></devices></domain>"""


def state(connection, identity):
    domain = connection.lookupByUUIDString(identity)
    found = domain.state()[0]
    if found == OFF:
        domain.hasManagedSaveImage()
    return found


def verb(connection, identity, before, after, ask):
    if state(connection, identity) != before:
        raise RuntimeError("it is in another state")
    ask(connection.lookupByUUIDString(identity))
    while state(connection, identity) != after:
        time.sleep(0.05)


def life(connection, number):
    name, identity = f"peer-{number}", str(uuid.uuid4())
    try:
        connection.lookupByName(name)
        raise RuntimeError("the name is taken")
    except libvirt.libvirtError:
        pass
    connection.networkLookupByName("default")
    connection.defineXML(document(name, identity)).XMLDesc()
    verb(connection, identity, OFF, RUNNING, lambda domain: domain.create())
    verb(connection, identity, RUNNING, PAUSED, lambda domain: domain.suspend())
    verb(connection, identity, PAUSED, RUNNING, lambda domain: domain.resume())
    verb(connection, identity, RUNNING, OFF, lambda domain: domain.destroy())
    if connection.lookupByUUIDString(identity).ID() != -1:
        raise RuntimeError("it still has a domain")
    state(connection, identity)
    connection.lookupByUUIDString(identity).undefine()
    try:
        connection.lookupByUUIDString(identity)
        raise RuntimeError("it is still there")
    except libvirt.libvirtError:
        pass


def main():
    libvirt.registerErrorHandler(lambda *_: None, None)
    connection = libvirt.open("test:///default")
    for line in sys.stdin:
        guests = int(line)
        started = time.perf_counter()
        for number in range(guests):
            life(connection, number)
        print(guests * 6 / (time.perf_counter() - started), flush=True)


main()
