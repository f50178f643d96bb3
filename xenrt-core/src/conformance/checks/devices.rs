//! Disks and VIFs that come and go.

use crate::conformance::check::Check;
use crate::conformance::problem::{ensure, same};
use crate::model::{Ability, DiskSpec, MacAddress, Memory, NetworkSpec, ShutdownMode, VifSpec};

const MAC: MacAddress = MacAddress::new([0x00, 0x16, 0x3e, 0x5c, 0x03, 0x01]);
const OTHER_MAC: MacAddress = MacAddress::new([0x00, 0x16, 0x3e, 0x5c, 0x03, 0x02]);

fn small() -> DiskSpec {
    DiskSpec::new(Memory::mib(8))
}

pub(super) const CHECKS: &[Check] = &[
    Check::boots(
        "devices.attach_disk",
        "a disk that is attached to a running guest is seen in it, and not after it was detached",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let before = guest.inside().await?.disks.len();
                let disk = guest.attach_disk(small()).await?;
                let seen = guest.inside().await?.disks;
                let listed = guest.view().await?.disks.contains(&disk);
                guest.detach_disk(&disk.device).await?;
                ensure(listed, "the toolstack does not list it")?;
                same("the number of disks seen inside", seen.len(), before + 1)?;
                same("the number after it", guest.inside().await?.disks.len(), before)
            })
        },
    )
    .needs(&[Ability::DiskHotplug]),
    Check::boots(
        "devices.detach_disk",
        "what was made for a disk is gone when it was detached",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let disk = guest.attach_disk(small()).await?;
                let there = cx.has_disk(&disk.path).await?;
                guest.detach_disk(&disk.device).await?;
                ensure(there, format!("{} was not made", disk.path))?;
                ensure(!cx.has_disk(&disk.path).await?, format!("{} is still there", disk.path))
            })
        },
    )
    .needs(&[Ability::DiskHotplug]),
    Check::boots(
        "devices.attach_disk_as",
        "an attached disk has the device name and access that were asked for",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let device = cx.next_device(&guest).await?;
                let disk = guest.attach_disk(small().device(&device).read_only()).await?;
                guest.detach_disk(&disk.device).await?;
                same("device and access", (disk.device, disk.read_only), (device, true))
            })
        },
    )
    .needs(&[Ability::DiskHotplug]),
    Check::boots(
        "devices.existing_disk",
        "an attached disk that was there before is left when it is detached",
        |cx| {
            Box::pin(async move {
                let path = cx.foreign_disk().await?;
                let guest = cx.up().await?;
                let disk = guest.attach_disk(DiskSpec::existing(&path)).await?;
                guest.detach_disk(&disk.device).await?;
                ensure(cx.has_disk(&path).await?, "it is gone")
            })
        },
    )
    .needs(&[Ability::DiskHotplug]),
    Check::quick(
        "devices.disk_of_halted",
        "a disk that is attached to a halted guest is there at its start",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let disk = guest.attach_disk(small()).await?;
                guest.start_paused().await?;
                ensure(guest.view().await?.disks.contains(&disk), "it is not listed")?;
                guest.check().await?;
                guest.shutdown(ShutdownMode::Hard).await?;
                guest.detach_disk(&disk.device).await?;
                ensure(!cx.has_disk(&disk.path).await?, format!("{} is still there", disk.path))
            })
        },
    ),
    Check::quick(
        "devices.ten_disks",
        "a guest can have ten disks, each with a name of its own",
        |cx| {
            Box::pin(async move {
                let mut spec = cx.spec("a");
                let image = spec.clone();
                spec.disks = vec![small(); 10];
                let own =
                    cx.host().entry().image_for(image.image.as_deref().unwrap_or_default())?;
                let guest = cx.host().create_guest(&spec).await?;
                guest.start_paused().await?;
                let disks = guest.view().await?.disks;
                let names: std::collections::BTreeSet<_> =
                    disks.iter().map(|d| &d.device).collect();
                same("the number of names", names.len(), 10 + usize::from(own.disk.is_some()))
            })
        },
    ),
    Check::boots(
        "devices.attach_vif",
        "a VIF that is attached to a running guest is seen in it, and not after it was detached",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let vif = guest.attach_vif(VifSpec::on_default()).await?;
                let (seen, listed) = (guest.inside().await?.macs, guest.view().await?.vifs);
                guest.detach_vif(vif.mac).await?;
                ensure(listed.contains(&vif), "the toolstack does not list it")?;
                ensure(seen.contains(&vif.mac), format!("{} is not seen inside", vif.mac))?;
                ensure(!guest.inside().await?.macs.contains(&vif.mac), "it is still seen inside")?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(&[Ability::VifHotplug]),
    Check::boots(
        "devices.attach_vif_as",
        "an attached VIF has the hardware address that was asked for",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let vif = guest.attach_vif(VifSpec::on_default().mac(MAC)).await?;
                guest.detach_vif(vif.mac).await?;
                same("its address", vif.mac, MAC)
            })
        },
    )
    .needs(&[Ability::VifHotplug]),
    Check::quick(
        "devices.detach_the_right_vif",
        "the VIF that is detached is the one that was meant",
        |cx| {
            Box::pin(async move {
                let mut spec = cx.spec("a");
                spec.vifs = [MAC, OTHER_MAC].map(|mac| VifSpec::on_default().mac(mac)).to_vec();
                let guest = cx.host().create_guest(&spec).await?;
                guest.detach_vif(OTHER_MAC).await?;
                let left = guest.view().await?.vifs.iter().map(|vif| vif.mac).collect();
                same("the VIFs that are left", left, vec![MAC])
            })
        },
    ),
    Check::boots(
        "devices.vif_keeps_login",
        "a login goes on when a second VIF comes and goes",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let vif = guest.attach_vif(VifSpec::on_default()).await?;
                let with = guest.is_reachable().await;
                guest.detach_vif(vif.mac).await?;
                ensure(with && guest.is_reachable().await, "it does not answer")
            })
        },
    )
    .needs(&[Ability::VifHotplug]),
    Check::boots(
        "devices.vif_on_network",
        "an attached VIF is on the network that was asked for",
        |cx| {
            Box::pin(async move {
                let network = cx.host().create_network(&NetworkSpec::isolated("xrtc7")).await?;
                let guest = cx.up().await?;
                let vif = guest.attach_vif(VifSpec::on(&network.name)).await?;
                guest.detach_vif(vif.mac).await?;
                same("its network", vif.network, network.name)
            })
        },
    )
    .needs(&[Ability::VifHotplug, Ability::Networks]),
    Check::quick(
        "devices.vif_of_halted",
        "a VIF that is attached to a halted guest is there at its start",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let vif = guest.attach_vif(VifSpec::on_default()).await?;
                guest.start_paused().await?;
                let macs: Vec<_> = guest.view().await?.vifs.iter().map(|vif| vif.mac).collect();
                ensure(macs.contains(&vif.mac), format!("its VIFs are {macs:?}"))?;
                Ok(guest.check().await?)
            })
        },
    ),
];
