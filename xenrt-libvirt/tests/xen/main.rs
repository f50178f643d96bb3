//! The toolstack on Xen: libvirt in dom0 of a virtual host, through ssh.

#![cfg(feature = "virt")]

use std::time::Duration;

use xenrt::virtual_lab::host_entry;
use xenrt_core::model::{GuestKind, GuestSpec, PowerState, ShutdownMode, Toolstack as _, VifSpec};
use xenrt_lab::{HostRequest, LabOptions, VirtualLab};
use xenrt_libvirt::LibvirtToolstack;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_lives_on_xen() {
    let lab = VirtualLab::open(LabOptions::default()).await.unwrap();
    let machine = lab.hosts(&HostRequest::new(1)).await.unwrap().remove(0);
    let mut entry = host_entry(&machine);
    entry.toolstack = "libvirt".to_owned();
    entry.attributes.insert("libvirt_uri".to_owned(), "xen:///system".to_owned());
    // The first connection starts the daemon, which an emulated processor takes its time for.
    entry.deadlines.command = Duration::from_secs(240);
    let host = LibvirtToolstack::new().connect(&entry).await.unwrap();
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
        guest.shutdown(ShutdownMode::Clean).await.unwrap();
        assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
        guest.delete().await.unwrap();
    }
    assert_eq!(host.inventory().await.unwrap().added_since(&before), Vec::<String>::new());
    machine.stop().await.unwrap();
}
