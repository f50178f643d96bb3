//! The suite that every toolstack must pass, on QEMU.

use xenrt_core::conformance::Suite;

use crate::world::World;

/// What the suite takes for granted and QEMU or this guest does otherwise, with the reason.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "names.longest",
        "libvirt keeps a domain in a file of its name, so that it has at most 251 bytes",
    ),
    ("define.disk_device", XEN_DEVICE),
    ("define.read_only", XEN_DEVICE),
    ("define.copy_is_private", XEN_DEVICE),
    ("illegal.attach_used_device", XEN_DEVICE),
    ("devices.attach_disk_as", XEN_DEVICE),
    ("power.shutdown", POWER_BUTTON),
    ("power.reboot", POWER_BUTTON),
    ("power.reboot_keeps", POWER_BUTTON),
    ("reach.not_when_halted", POWER_BUTTON),
    ("reach.address_stays", POWER_BUTTON),
    ("power.crash", PANIC),
    ("power.crash_console", PANIC),
    ("power.off_crashed", PANIC),
    ("resources.more_vcpus", UNPLUG),
    ("resources.fewer_vcpus", UNPLUG),
    (
        "resources.free_memory",
        "QEMU takes memory when it is touched, and what it needs itself counts",
    ),
];

const XEN_DEVICE: &str = "the suite asks for xvdq, which only guests of Xen have";
const POWER_BUTTON: &str = "the tiny guest has no driver for an ACPI power button";
const PANIC: &str = "the tiny guest has no driver that tells QEMU of a panic";
const UNPLUG: &str = "vCPUs of the start are not hot-pluggable, and the guest lets none go";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `qemu_conforms` in name spaces of its own"]
async fn inside() {
    let world = World::new();
    let profile = Suite::new(world.connect().await)
        .on_result(|result| eprintln!("{} {:?} {:?}", result.name, result.seconds, result.verdict))
        .run()
        .await;
    eprintln!("{}", profile.summary());
    let red: Vec<&str> = profile.red().map(|check| check.name.as_str()).collect();
    let known = |name: &str| OTHERWISE.iter().any(|(own, _)| *own == name);
    let unexpected: Vec<&str> = red.into_iter().filter(|name| !known(name)).collect();
    assert_eq!(unexpected, Vec::<&str>::new(), "{profile}");
    assert_eq!(profile.left, Vec::<String>::new());
}
