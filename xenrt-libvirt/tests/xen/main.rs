//! The toolstack on Xen: libvirt in dom0 of a virtual host, through ssh.

#![cfg(feature = "virt")]
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect stops there")]

use std::sync::Arc;
use std::time::Duration;

use xenrt::virtual_lab::host_entry;
use xenrt_core::Error;
use xenrt_core::model::{
    Guest, GuestKind, GuestSpec, Host, PowerState, ShutdownMode, Toolstack as _, VifSpec,
};
use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_lab::{HostRequest, LabOptions, VirtualHost, VirtualLab};
use xenrt_libvirt::LibvirtToolstack;

async fn connect(machine: &VirtualHost) -> Arc<dyn Host> {
    let mut entry = host_entry(machine);
    entry.toolstack = "libvirt".to_owned();
    entry.attributes.insert("libvirt_uri".to_owned(), "xen:///system".to_owned());
    // The first connection starts the daemon, which an emulated processor takes its time for.
    entry.deadlines.command = Duration::from_secs(240);
    LibvirtToolstack::new().connect(&entry).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_lives_on_xen() {
    let lab = VirtualLab::open(LabOptions::default()).await.unwrap();
    let machines = lab.hosts(&HostRequest::new(2)).await.unwrap();
    let host = connect(&machines[0]).await;
    let info = host.info().await.unwrap();
    assert!(info.hypervisor.starts_with("Xen "), "{info:?}");
    eprintln!("{info:?}\n{:?}", host.abilities());
    let domains = host.domains().await.unwrap();
    assert_eq!((domains[0].domid, domains[0].name.as_str()), (0, "Domain-0"));
    assert!(host.networks().await.unwrap().iter().any(|own| own.name == "xenbr0"));
    let before = host.inventory().await.unwrap();

    for kind in [GuestKind::Pv, GuestKind::Pvh] {
        let spec = GuestSpec::new(format!("it's {kind:?}"))
            .image("tiny")
            .kind(kind)
            .max_vcpus(2)
            .vif(VifSpec::on_default());
        let guest = host.create_guest(&spec).await.unwrap();
        guest.start().await.unwrap();
        guest.wait_until_reachable().await.unwrap();
        guest.check().await.unwrap();
        eprintln!("{kind:?}: it is up");
        guest.pause().await.unwrap();
        guest.check().await.unwrap();
        guest.unpause().await.unwrap();
        guest.suspend().await.unwrap();
        assert_eq!(guest.domain().await.unwrap(), None);
        guest.resume().await.unwrap();
        guest.check().await.unwrap();
        eprintln!("{kind:?}: it was suspended");
        guest.reboot(ShutdownMode::Clean).await.unwrap();
        guest.check().await.unwrap();
        eprintln!("{kind:?}: it rebooted");
        if kind == GuestKind::Pvh {
            moves_and_leaves_nothing(&guest, &machines[1]).await;
            eprintln!("{kind:?}: it moved");
            guest.ensure_deleted().await.unwrap();
            continue;
        }
        guest.shutdown(ShutdownMode::Clean).await.unwrap();
        assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
        guest.delete().await.unwrap();
    }
    assert_eq!(host.inventory().await.unwrap().added_since(&before), Vec::<String>::new());
    for machine in machines {
        machine.stop().await.unwrap();
    }
}

/// A guest goes on at another host from where it was, and the first has nothing of it.
async fn moves_and_leaves_nothing(guest: &Arc<dyn Guest>, to: &VirtualHost) {
    let boot = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    let before = guest.shell().await.unwrap().text(&boot).await.unwrap();
    let (source, target) = (guest.host(), connect(to).await);
    guest.migrate(&target).await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(guest.shell().await.unwrap().text(&boot).await.unwrap(), before);
    assert_eq!(guest.host().name(), target.name());
    let name = guest.name();
    assert!(matches!(source.guest(&name).await, Err(Error::NotFound { .. })));
    assert!(source.domains().await.unwrap().iter().all(|own| own.name != name));
    let refused = guest.migrate(&target).await.unwrap_err();
    assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
}
