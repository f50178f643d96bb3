//! What a guest is when it was just defined.

use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, has_online, power_is};
use crate::conformance::problem::{Outcome, Problem, ensure, invalid, not_found, refused, same};
use crate::model::{DiskSpec, GuestSpec, MacAddress, Memory, PowerState, VifSpec};
use crate::{Error, ToolstackErrorKind};

const MAC: MacAddress = MacAddress::new([0x00, 0x16, 0x3e, 0x5c, 0x01, 0x02]);

/// The specification is refused as one that cannot be carried out, and nothing is left.
async fn nothing_of(cx: &CheckContext, spec: &GuestSpec, what: &str) -> Outcome {
    let before = cx.host().inventory().await?;
    invalid(cx.host().define_guest(spec).await, what)?;
    same("what it left", cx.host().inventory().await?.added_since(&before), Vec::new())
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick(
        "define.halted",
        "a guest that was just defined is halted and has no domain",
        |cx| Box::pin(async move { power_is(&cx.halted("a").await?, PowerState::Halted).await }),
    ),
    Check::quick("define.listed", "a guest that is halted is among the guests of its host", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            let listed = cx.host().guests().await?;
            let count = listed.iter().filter(|other| other.uuid() == guest.uuid()).count();
            same("how often it is listed", count, 1)
        })
    }),
    Check::quick("define.identities", "each guest has an identity of its own", |cx| {
        Box::pin(async move {
            let (one, other) = (cx.halted("a").await?, cx.halted("b").await?);
            ensure(!one.uuid().is_nil() && one.uuid() != other.uuid(), "two guests share one")
        })
    }),
    Check::quick("define.expectation", "a guest that was just defined is as it should be", |cx| {
        Box::pin(async move { Ok(cx.halted("a").await?.check().await?) })
    }),
    Check::quick("define.image", "a guest remembers its image", |cx| {
        Box::pin(async move {
            let guest = cx.halted("a").await?;
            let image = cx.host().entry().image_for(&cx.image)?.name.clone();
            same("its image", guest.image(), Some(image))
        })
    }),
    Check::quick("define.vcpus", "a guest has the vCPUs that were asked for", |cx| {
        Box::pin(async move {
            let spec = cx.spec("a").vcpus(2).max_vcpus(3);
            let guest = cx.host().create_guest(&spec).await?;
            let view = guest.view().await?;
            same("vCPUs and maximum", (view.vcpus, view.max_vcpus), (2, 3))?;
            guest.start().await?;
            has_online(&guest, 2).await
        })
    }),
    Check::quick("define.memory", "a guest has the memory that was asked for", |cx| {
        Box::pin(async move {
            let image = cx.host().entry().image_for(&cx.image)?.memory;
            let asked = Memory::mib(image.as_mib() + 64);
            let guest = cx.host().create_guest(&cx.spec("a").memory(asked)).await?;
            guest.check().await?;
            same("its memory", guest.view().await?.memory, asked)?;
            guest.start_paused().await?;
            let held = guest.domain().await?.map(|domain| domain.memory).unwrap_or_default();
            ensure(
                held.abs_diff(asked) <= Memory::mib(16),
                format!("its domain holds {held}, not {asked}"),
            )
        })
    }),
    Check::quick(
        "define.image_memory",
        "a guest without a word on memory has that of its image",
        |cx| {
            Box::pin(async move {
                let image = cx.host().entry().image_for(&cx.image)?.memory;
                same("its memory", cx.halted("a").await?.view().await?.memory, image)
            })
        },
    ),
    Check::quick("define.vifs", "a guest has all VIFs that were asked for, in order", |cx| {
        Box::pin(async move {
            let last = |n| MacAddress::new([0x00, 0x16, 0x3e, 0x5c, 0x02, n]);
            let mut spec = cx.spec("a");
            spec.vifs = (1..=3).map(|n| VifSpec::on_default().mac(last(n))).collect();
            let vifs = cx.host().create_guest(&spec).await?.view().await?.vifs;
            let found: Vec<_> = vifs.iter().map(|vif| (vif.index, vif.mac)).collect();
            same("its VIFs", found, vec![(0, last(1)), (1, last(2)), (2, last(3))])
        })
    }),
    Check::quick("define.most_vifs", "a guest can have 8 VIFs", |cx| {
        Box::pin(async move {
            let mut spec = cx.spec("a");
            spec.vifs = vec![VifSpec::on_default(); 8];
            let guest = cx.host().create_guest(&spec).await?;
            guest.start_paused().await?;
            same("the number of its VIFs", guest.view().await?.vifs.len(), 8)
        })
    }),
    Check::quick("define.mac", "a VIF has the hardware address that was asked for", |cx| {
        Box::pin(async move {
            let mut spec = cx.spec("a");
            spec.vifs = vec![VifSpec::on_default().mac(MAC)];
            let vifs = cx.host().create_guest(&spec).await?.view().await?.vifs;
            same("its addresses", vifs.iter().map(|vif| vif.mac).collect(), vec![MAC])
        })
    }),
    Check::quick(
        "define.guest_network",
        "a VIF without a network is on the guest network of the host",
        |cx| {
            Box::pin(async move {
                let Some(network) = &cx.host().entry().guest_network else {
                    return Err(Problem::Errored("the host has no guest network".to_owned()));
                };
                let vifs = cx.halted("a").await?.view().await?.vifs;
                same(
                    "its networks",
                    vifs.into_iter().map(|vif| vif.network).collect(),
                    vec![network.network.clone()],
                )
            })
        },
    ),
    Check::quick("define.disks", "the disks of a guest are there when it is defined", |cx| {
        Box::pin(async move {
            let spec = cx.spec("a").disk(DiskSpec::new(Memory::mib(8)));
            let disks = cx.host().create_guest(&spec).await?.view().await?.disks;
            ensure(!disks.is_empty(), "it has no disk")?;
            for disk in disks {
                ensure(cx.has_disk(&disk.path).await?, format!("{} is not there", disk.path))?;
            }
            Ok(())
        })
    }),
    Check::quick("define.disk_device", "a disk has the device name that was asked for", |cx| {
        Box::pin(async move {
            let device = cx.device('q').await?;
            let spec = cx.spec("a").disk(DiskSpec::new(Memory::mib(8)).device(&device));
            let disks = cx.host().create_guest(&spec).await?.view().await?.disks;
            ensure(
                disks.iter().any(|disk| disk.device == device),
                format!("its disks are {disks:?}"),
            )
        })
    }),
    Check::quick("define.read_only", "a disk that may only be read is so", |cx| {
        Box::pin(async move {
            let device = cx.device('q').await?;
            let disk = DiskSpec::new(Memory::mib(8)).device(&device).read_only();
            let disks = cx.host().create_guest(&cx.spec("a").disk(disk)).await?.view().await?.disks;
            let disk = disks.iter().find(|disk| disk.device == device);
            same("whether it may only be read", disk.map(|disk| disk.read_only), Some(true))
        })
    }),
    Check::quick("define.copy_is_private", "a copied disk is one of the guest's own", |cx| {
        Box::pin(async move {
            let source = cx.foreign_disk().await?;
            let device = cx.device('q').await?;
            let spec = cx.spec("a").disk(DiskSpec::copy_of(&source).device(&device));
            let guest = cx.host().create_guest(&spec).await?;
            let disks = guest.view().await?.disks;
            let path = disks.into_iter().find(|disk| disk.device == device).map(|disk| disk.path);
            let path = path.ok_or_else(|| Problem::Failed("it has no such disk".to_owned()))?;
            ensure(path != source, "it is the disk itself")?;
            ensure(cx.has_disk(&path).await?, "there is no copy")?;
            guest.delete().await?;
            ensure(!cx.has_disk(&path).await?, "the copy is left")?;
            ensure(cx.has_disk(&source).await?, "the source went with the guest")
        })
    }),
    Check::quick(
        "define.existing_disk_stays",
        "a disk that was there before stays when its guest goes",
        |cx| {
            Box::pin(async move {
                let path = cx.foreign_disk().await?;
                let guest =
                    cx.host().create_guest(&cx.spec("a").disk(DiskSpec::existing(&path))).await?;
                let disks = guest.view().await?.disks;
                ensure(disks.iter().any(|disk| disk.path == path), "it has another disk")?;
                guest.delete().await?;
                ensure(cx.has_disk(&path).await?, "it is gone")
            })
        },
    ),
    Check::quick(
        "define.taken_name",
        "a name that is taken is refused, and the first guest is unharmed",
        |cx| {
            Box::pin(async move {
                let guest = cx.halted("a").await?;
                let spec = cx.spec("a").disk(DiskSpec::new(Memory::mib(8)));
                nothing_of(cx, &spec, "a name that is taken").await?;
                Ok(guest.check().await?)
            })
        },
    )
    .alone(),
    Check::quick(
        "define.unknown_image",
        "an image that there is not is refused with the names that there are",
        |cx| {
            Box::pin(async move {
                let spec = GuestSpec::new(cx.name("a")).image("no-such-image");
                let result = cx.host().define_guest(&spec).await;
                if let Err(Error::NotFound { known, .. }) = &result {
                    ensure(!known.is_empty(), "it does not say which there are")?;
                }
                not_found(result, "an image that there is not")
            })
        },
    ),
    Check::quick("define.nothing_to_boot", "a guest with nothing to boot from is refused", |cx| {
        Box::pin(async move {
            nothing_of(cx, &GuestSpec::new(cx.name("a")), "a guest with nothing to boot from").await
        })
    })
    .alone(),
    Check::quick("define.no_vcpus", "a guest without vCPUs is refused", |cx| {
        Box::pin(async move {
            let mut spec = cx.spec("a");
            spec.vcpus = 0;
            nothing_of(cx, &spec, "a guest without vCPUs").await
        })
    })
    .alone(),
    Check::quick(
        "define.missing_network",
        "a VIF on a network that there is not is refused and leaves nothing",
        |cx| {
            Box::pin(async move {
                let before = cx.host().inventory().await?;
                let spec =
                    cx.spec("a").disk(DiskSpec::new(Memory::mib(8))).vif(VifSpec::on("nosuchbr"));
                let kinds =
                    [ToolstackErrorKind::NoSuchObject, ToolstackErrorKind::InvalidConfiguration];
                refused(
                    cx.host().define_guest(&spec).await,
                    "a network that there is not",
                    &kinds,
                )?;
                same("what it left", cx.host().inventory().await?.added_since(&before), Vec::new())
            })
        },
    )
    .alone(),
    Check::quick(
        "define.missing_disk",
        "a disk that there is not is refused as a missing file and leaves nothing",
        |cx| {
            Box::pin(async move {
                let before = cx.host().inventory().await?;
                let new = DiskSpec::new(Memory::mib(8));
                let spec = cx.spec("a").disk(new).disk(DiskSpec::copy_of("/no/such/disk.raw"));
                let kinds = [ToolstackErrorKind::MissingFile];
                refused(cx.host().define_guest(&spec).await, "a disk that there is not", &kinds)?;
                same("what it left", cx.host().inventory().await?.added_since(&before), Vec::new())
            })
        },
    )
    .alone(),
    Check::quick("define.relative_disk", "the path of a disk must be absolute", |cx| {
        Box::pin(async move {
            let spec = cx.spec("a").disk(DiskSpec::existing("disk.raw"));
            nothing_of(cx, &spec, "a relative path").await
        })
    })
    .alone(),
    Check::quick("define.device_twice", "two disks with one device name are refused", |cx| {
        Box::pin(async move {
            let device = cx.device('q').await?;
            let disk = || DiskSpec::new(Memory::mib(8)).device(&device);
            nothing_of(cx, &cx.spec("a").disk(disk()).disk(disk()), "a device name twice").await
        })
    })
    .alone(),
    Check::quick("define.odd_device", "a device name that there cannot be is refused", |cx| {
        Box::pin(async move {
            let disk = DiskSpec::new(Memory::mib(8)).device("../x");
            nothing_of(cx, &cx.spec("a").disk(disk), "the device name ../x").await
        })
    })
    .alone(),
    Check::quick("define.mac_twice", "two VIFs with one hardware address are refused", |cx| {
        Box::pin(async move {
            let vif = || VifSpec::on_default().mac(MAC);
            nothing_of(cx, &cx.spec("a").vif(vif()).vif(vif()), "an address twice").await
        })
    })
    .alone(),
    Check::quick(
        "define.too_much_memory",
        "a guest larger than its host is refused for want of memory, and has no domain",
        |cx| {
            Box::pin(async move {
                let all = cx.host().info().await?.memory;
                let spec = cx.spec("a").memory(Memory::mib(all.as_mib() + 1024));
                let guest = cx.host().create_guest(&spec).await?;
                let before = cx.host().domains().await?.len();
                refused(guest.start().await, "its start", &[ToolstackErrorKind::OutOfMemory])?;
                power_is(&guest, PowerState::Halted).await?;
                same("the number of domains", cx.host().domains().await?.len(), before)
            })
        },
    )
    .alone(),
];
