//! vCPUs, memory, disks, VIFs, networks: changed while guests run and while they do not.

use std::sync::Arc;

use xenrt_core::Error;
use xenrt_core::model::{DiskSpec, GuestKind, Host, Memory, NetworkSpec, ShutdownMode, VifSpec};
use xenrt_core::remote::{Command, ShellExt};

use super::{booted, tiny};

/// Devices of a running guest come and go, and stay over a restart.
pub(crate) async fn hot_plug(host: Arc<dyn Host>, kind: GuestKind) {
    let spec =
        tiny("plug", kind).memory(Memory::mib(192)).max_memory(Memory::mib(256)).max_vcpus(2);
    let guest = booted(&host, &spec).await;

    let disk = guest.attach_disk(DiskSpec::new(Memory::mib(16))).await.unwrap();
    assert_eq!(disk.device, "xvda");
    let data = guest.attach_disk(DiskSpec::new(Memory::mib(8)).device("xvdq")).await.unwrap();
    let size = Command::new("cat").arg("/sys/block/xvdq/size");
    assert_eq!(guest.shell().await.unwrap().text(&size).await.unwrap(), (8 * 2048).to_string());
    guest.check().await.unwrap();
    guest.detach_disk(&disk.device).await.unwrap();
    guest.check().await.unwrap();
    let gone = Command::new("test").args(["-e", &disk.path]);
    assert!(!host.dom0().succeeds(&gone).await.unwrap(), "the disk that was made is removed");
    assert!(matches!(guest.detach_disk("xvda").await, Err(Error::NotFound { .. })));

    let vif = guest.attach_vif(VifSpec::on_default()).await.unwrap();
    let kept = guest.attach_vif(VifSpec::on_default()).await.unwrap();
    guest.check().await.unwrap();
    guest.detach_vif(vif.mac).await.unwrap();
    guest.check().await.unwrap();

    guest.set_memory(Memory::mib(160)).await.unwrap();
    guest.set_memory(Memory::mib(200)).await.unwrap();
    guest.check().await.unwrap();

    guest.set_vcpus(2).await.unwrap();
    guest.check().await.unwrap();
    guest.set_vcpus(1).await.unwrap();
    guest.check().await.unwrap();
    assert!(matches!(guest.set_vcpus(3).await, Err(Error::Invalid { .. })));

    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    guest.check().await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
    let view = guest.view().await.unwrap();
    assert_eq!(view.disks, [data]);
    assert!(view.vifs.iter().any(|vif| vif.mac == kept.mac));
    assert_eq!(view.memory, Memory::mib(200));
}

/// What is changed while a guest is halted is there when it starts.
pub(crate) async fn changed_while_halted(host: Arc<dyn Host>) {
    let guest = host.create_guest(&tiny("cold", GuestKind::Pv)).await.unwrap();
    guest.set_vcpus(2).await.unwrap();
    guest.set_memory(Memory::mib(224)).await.unwrap();
    let disk = guest.attach_disk(DiskSpec::new(Memory::mib(4)).read_only()).await.unwrap();
    let vif = guest.attach_vif(VifSpec::on_default()).await.unwrap();
    let other = guest.attach_vif(VifSpec::on_default()).await.unwrap();
    guest.detach_vif(vif.mac).await.unwrap();
    guest.check().await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
    let read_only = Command::new("cat").arg(format!("/sys/block/{}/ro", disk.device));
    assert_eq!(guest.shell().await.unwrap().text(&read_only).await.unwrap(), "1");
    assert_eq!(guest.view().await.unwrap().vifs.last().unwrap().mac, other.mac);
}

/// Networks are made, used, protected and removed.
pub(crate) async fn networks(host: Arc<dyn Host>) {
    let network = host.create_network(&NetworkSpec::isolated("xrt-test0")).await.unwrap();
    assert!(host.networks().await.unwrap().contains(&network));
    let twin = host.create_network(&NetworkSpec::isolated("xrt-test0")).await;
    assert!(matches!(twin, Err(Error::Invalid { .. })), "{twin:?}");
    let guest = booted(&host, &tiny("netty", GuestKind::Pv)).await;
    let vif = guest.attach_vif(VifSpec::on("xrt-test0")).await.unwrap();
    assert_eq!(vif.network, "xrt-test0");
    assert!(host.remove_network("xrt-test0").await.is_err(), "a guest uses it");
    guest.detach_vif(vif.mac).await.unwrap();
    host.remove_network("xrt-test0").await.unwrap();
    host.remove_network("xrt-test0").await.unwrap();
    let bridge = &host.entry().guest_network.as_ref().unwrap().network.clone();
    assert!(host.remove_network(bridge).await.is_err(), "it is not ours");
    let nowhere = guest.attach_vif(VifSpec::on("xrt-missing")).await.unwrap_err();
    let kind = nowhere.toolstack_kind();
    assert_eq!(kind, Some(xenrt_core::ToolstackErrorKind::NoSuchObject), "{nowhere}");
    guest.check().await.unwrap();
}
