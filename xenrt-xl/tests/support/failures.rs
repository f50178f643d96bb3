//! Guests that do not do what they should.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::model::{
    Ability, Boot, CrashAction, DiskSpec, GuestKind, GuestSpec, Host, Memory, PowerState,
    ShutdownMode, VifSpec,
};
use xenrt_core::remote::{Command, ShellExt};
use xenrt_core::{Error, ToolstackErrorKind};

use super::{booted, tiny};

/// A domain that is destroyed behind the library's back is seen, and the guest can go on.
pub(crate) async fn vanished_domain(host: Arc<dyn Host>) {
    let guest = booted(&host, &tiny("vanishing", GuestKind::Pv)).await;
    let domid = guest.domain().await.unwrap().unwrap().domid.to_string();
    host.dom0().run(&Command::new("xl").args(["destroy", &domid])).await.unwrap();
    let report = guest.check().await.unwrap_err();
    assert!(matches!(report, Error::Check(_)), "{report}");
    assert!(report.to_string().contains("found Halted"), "{report}");
    let lost = guest.request(&xenrt_core::model::GuestAction::Pause).await.unwrap_err();
    assert_eq!(lost.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{lost}");
    assert!(matches!(guest.wait_until_reachable().await, Err(Error::GuestStopped { .. })));
    guest.expectation().update(|expected| {
        expected.power = PowerState::Halted;
        expected.reachable = false;
    });
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
}

/// A guest that panics is Crashed, is kept, can be looked at, and can be ended.
pub(crate) async fn panicking_guest(host: Arc<dyn Host>, kind: GuestKind) {
    let guest = booted(&host, &tiny("panicker", kind)).await;
    let crash = Command::shell_line(
        "echo 1 >/proc/sys/kernel/sysrq; (usleep 300000; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &",
    );
    guest.shell().await.unwrap().run(&crash).await.unwrap();
    guest.wait_for_state(PowerState::Crashed, Duration::from_secs(60)).await.unwrap();
    let error = guest.wait_until_reachable().await.unwrap_err();
    assert!(matches!(error, Error::GuestStopped { state: PowerState::Crashed, .. }), "{error}");
    if host.abilities().has(Ability::ConsoleLog) {
        let console = guest.console_text().await.unwrap();
        assert!(console.contains("sysrq"), "{console}");
    }
    assert!(matches!(guest.suspend().await, Err(Error::WrongState { .. })));
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    guest.check().await.unwrap();
}

/// A guest whose kernel cannot find its root file system crashes before it can be reached.
pub(crate) async fn never_boots(host: Arc<dyn Host>) {
    let image = host.entry().image_for("tiny").unwrap();
    let spec = GuestSpec::new("unbootable")
        .kind(GuestKind::Pv)
        .memory(Memory::mib(192))
        .boot(Boot::Kernel {
            kernel: image.kernel.clone().unwrap(),
            ramdisk: None,
            command_line: "console=hvc0 root=/dev/nothing panic=-1".into(),
        })
        .vif(VifSpec::on_default())
        .address("10.0.2.198".parse().unwrap())
        .on_crash(CrashAction::Preserve);
    let guest = host.create_guest(&spec).await.unwrap();
    guest.start().await.unwrap();
    let error = guest.wait_until_reachable().await.unwrap_err();
    assert!(matches!(error, Error::GuestStopped { .. }), "{error}");
    guest.delete().await.unwrap();
}

/// What the host has not got is refused with what it means, and nothing is left.
pub(crate) async fn refusals(host: Arc<dyn Host>) {
    let kernel = |path: &str| Boot::Kernel {
        kernel: path.to_owned(),
        ramdisk: None,
        command_line: String::new(),
    };
    let spec = GuestSpec::new("nokernel").kind(GuestKind::Pv).memory(Memory::mib(64));
    let guest = host.create_guest(&spec.clone().boot(kernel("/nonexistent"))).await.unwrap();
    let error = guest.start().await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::MissingFile), "{error}");
    guest.check().await.unwrap();

    let missing = tiny("nodisk", GuestKind::Pv).disk(DiskSpec::copy_of("/nonexistent.img"));
    let error = host.create_guest(&missing).await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::MissingFile), "{error}");

    let huge = tiny("huge", GuestKind::Pv).memory(Memory::gib(900));
    let guest = host.create_guest(&huge).await.unwrap();
    let error = guest.start().await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::OutOfMemory), "{error}");
    let error = guest.restore("/nonexistent").await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::MissingFile), "{error}");
    assert!(matches!(
        host.create_guest(&tiny("nowhere", GuestKind::Pv).vif(VifSpec::on("no bridge"))).await,
        Err(Error::Invalid { .. })
    ));
    if !host.abilities().has(Ability::Hvm) {
        let hvm = spec.kind(GuestKind::Hvm).boot(Boot::Disk);
        let error = host.create_guest(&hvm).await.unwrap_err();
        assert!(matches!(error, Error::Unsupported { ability: Ability::Hvm, .. }), "{error}");
    }
}

/// A domain that somebody else made is adopted, used, and forgotten when it is deleted; an address
/// that nobody told is found.
pub(crate) async fn adopted_guest(host: Arc<dyn Host>) {
    let image = host.entry().image_for("tiny").unwrap().clone();
    let network = host.entry().guest_network.clone().unwrap();
    let pool = network.pool.unwrap();
    let address = pool.last;
    let in_guest = image
        .address_command_line
        .replace("{address}", &address.to_string())
        .replace("{prefix}", &pool.prefix.to_string())
        .replace("{gateway}", &pool.gateway.to_string());
    let config = format!(
        "name=\"stranger\"\ntype=\"pv\"\nmemory=192\nvcpus=1\nkernel=\"{}\"\nramdisk=\"{}\"\n\
         cmdline=\"{} {in_guest}\"\nvif=[\"mac=00:16:3e:77:00:01,bridge={}\"]\n",
        image.kernel.unwrap(),
        image.ramdisk.unwrap(),
        image.command_line.replace("{name}", "stranger"),
        network.network,
    );
    host.dom0().write_file("/tmp/stranger.cfg", config.as_bytes(), 0o600).await.unwrap();
    let create = Command::shell_line("xl create /tmp/stranger.cfg && rm /tmp/stranger.cfg");
    host.dom0().run(&create).await.unwrap();
    let guest = host.guest("stranger").await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Running);
    assert_eq!(guest.wait_for_address().await.unwrap(), std::net::IpAddr::from(address));
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
    guest.pause().await.unwrap();
    guest.unpause().await.unwrap();
    guest.suspend().await.unwrap();
    guest.resume().await.unwrap();
    guest.check().await.unwrap();
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    let error = guest.start().await.unwrap_err();
    assert_eq!(error.toolstack_kind(), Some(ToolstackErrorKind::NoSuchObject), "{error}");
    guest.delete().await.unwrap();
}

/// Evidence is collected, each source in its file.
pub(crate) async fn evidence(host: Arc<dyn Host>) {
    let folder = tempfile::tempdir().unwrap();
    let files = host.collect_evidence(folder.path()).await.unwrap();
    assert_eq!(files.len(), host.evidence_sources().len());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(read("xl-list-v.txt").contains("Domain-0"));
    assert!(read("xl-dmesg.txt").contains("(XEN)"));
    assert!(read("xenstore.txt").contains("/local/domain/0"));
}
