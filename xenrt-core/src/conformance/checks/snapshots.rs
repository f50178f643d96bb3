//! Snapshots and checkpoints.

use std::sync::Arc;
use std::time::Duration;

use crate::ToolstackErrorKind;
use crate::conformance::Problem;
use crate::conformance::check::Check;
use crate::conformance::context::{CheckContext, boot_id, power_is, without_effect};
use crate::conformance::problem::{Outcome, ensure, refused, same, wrong_state};
use crate::model::{
    Ability, DiskSpec, Guest, Memory, PowerState, ShutdownMode, Snapshot, SnapshotKind, Snapshots,
};
use crate::remote::{Command, ShellExt as _};

const NEEDS: &[Ability] = &[Ability::Snapshots];
/// A file that is in the memory of the guest alone.
const IN_MEMORY: &str = "/dev/shm/xrtc-kept";

/// A guest that is halted, with a disk of its own.
async fn halted(cx: &CheckContext) -> Result<(Arc<dyn Guest>, Arc<dyn Snapshots>), Problem> {
    let spec = cx.spec("a").max_vcpus(2).disk(DiskSpec::new(Memory::mib(8)));
    let guest = cx.host().create_guest(&spec).await?;
    let snapshots = guest.snapshots()?;
    Ok((guest, snapshots))
}

/// Writes a text to the beginning of the guest's last disk, and returns when it is there.
async fn write(guest: &Arc<dyn Guest>, text: &str) -> Outcome {
    let path = device(guest).await?;
    let dd = Command::new("dd").arg(format!("of={path}")).args(["bs=4096", "conv=notrunc,fsync"]);
    guest.shell().await?.run(&dd.stdin(text).deadline(Duration::from_secs(60))).await?;
    Ok(())
}

/// What is at the beginning of the guest's last disk.
async fn read(guest: &Arc<dyn Guest>) -> Result<String, Problem> {
    let path = device(guest).await?;
    let dd = Command::new("dd").arg(format!("if={path}")).args(["bs=3", "count=1"]);
    Ok(guest.shell().await?.text(&dd.deadline(Duration::from_secs(60))).await?)
}

async fn device(guest: &Arc<dyn Guest>) -> Result<String, Problem> {
    let disks = guest.view().await?.disks;
    let last = disks.last().ok_or_else(|| Problem::Failed("it has no disk".to_owned()))?;
    Ok(format!("/dev/{}", last.device))
}

/// The guest has exactly these snapshots, in this order.
async fn listed(snapshots: &Arc<dyn Snapshots>, expected: &[&Snapshot]) -> Outcome {
    let expected = expected.iter().map(|own| (*own).clone()).collect();
    same("its snapshots", snapshots.list().await?, expected)
}

pub(super) const CHECKS: &[Check] = &[
    Check::quick(
        "snapshots.listed",
        "a snapshot of a halted guest is listed as it was asked for, and changes nothing",
        |cx| {
            Box::pin(async move {
                let (guest, snapshots) = halted(cx).await?;
                listed(&snapshots, &[]).await?;
                let name = "it's \"one\" $(id)";
                let one = snapshots.create(name, SnapshotKind::Disks).await?;
                same("its name", one.name.as_str(), name)?;
                same("its kind", one.kind, SnapshotKind::Disks)?;
                same("what it reverts to", one.reverts_to, PowerState::Halted)?;
                listed(&snapshots, &[&one]).await?;
                power_is(&guest, PowerState::Halted).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS),
    Check::quick(
        "snapshots.order",
        "snapshots are listed in the order in which they were made, two of one name as two",
        |cx| {
            Box::pin(async move {
                let (_guest, snapshots) = halted(cx).await?;
                let one = snapshots.create("same", SnapshotKind::Disks).await?;
                let two = snapshots.create("same", SnapshotKind::Disks).await?;
                ensure(one.id != two.id, "they have one id")?;
                listed(&snapshots, &[&one, &two]).await
            })
        },
    )
    .needs(NEEDS),
    Check::quick(
        "snapshots.delete",
        "a snapshot that is deleted is gone with all that it kept, and the others stay",
        |cx| {
            Box::pin(async move {
                let (guest, snapshots) = halted(cx).await?;
                let one = snapshots.create("one", SnapshotKind::Disks).await?;
                let before = cx.host().inventory().await?;
                let two = snapshots.create("two", SnapshotKind::Disks).await?;
                snapshots.delete(&two).await?;
                listed(&snapshots, &[&one]).await?;
                let left = cx.host().inventory().await?.added_since(&before);
                same("what it left", left, Vec::new())?;
                snapshots.delete(&two).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS)
    .alone(),
    Check::quick(
        "snapshots.missing",
        "a snapshot that is gone can neither be reverted to nor removed",
        |cx| {
            Box::pin(async move {
                let (guest, snapshots) = halted(cx).await?;
                let one = snapshots.create("one", SnapshotKind::Disks).await?;
                snapshots.delete(&one).await?;
                let kinds = [ToolstackErrorKind::NoSuchObject];
                let judge = |result| refused(result, "a snapshot that is gone", &kinds);
                without_effect(&guest, snapshots.request_revert(&one), judge).await?;
                without_effect(&guest, snapshots.request_delete(&one), judge).await
            })
        },
    )
    .needs(NEEDS),
    Check::quick(
        "snapshots.definition",
        "a guest that is reverted has the vCPUs and devices of then, and the snapshot stays",
        |cx| {
            Box::pin(async move {
                let (guest, snapshots) = halted(cx).await?;
                let then = guest.view().await?;
                let one = snapshots.create("one", SnapshotKind::Disks).await?;
                guest.set_vcpus(2).await?;
                guest.attach_disk(DiskSpec::new(Memory::mib(4))).await?;
                snapshots.revert(&one).await?;
                let now = guest.view().await?;
                same("its vCPUs", now.vcpus, then.vcpus)?;
                // A toolstack may give it copies of its disks.
                let devices = |view: &crate::model::GuestView| -> Vec<String> {
                    view.disks.iter().map(|disk| disk.device.clone()).collect()
                };
                same("its disks", devices(&now), devices(&then))?;
                same("its VIFs", now.vifs, then.vifs)?;
                listed(&snapshots, &[&one]).await?;
                guest.check().await?;
                guest.start_paused().await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS),
    Check::quick(
        "snapshots.paused",
        "a paused guest that is reverted to a snapshot of its disks is halted",
        |cx| {
            Box::pin(async move {
                let (guest, snapshots) = halted(cx).await?;
                guest.start_paused().await?;
                let one = snapshots.create("one", SnapshotKind::Disks).await?;
                power_is(&guest, PowerState::Paused).await?;
                snapshots.revert(&one).await?;
                power_is(&guest, PowerState::Halted).await?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS),
    Check::quick(
        "snapshots.wrong_state",
        "a halted guest has no memory to keep and nothing to bring to rest",
        |cx| {
            Box::pin(async move {
                let (guest, snapshots) = halted(cx).await?;
                for kind in [SnapshotKind::Memory, SnapshotKind::Quiesced] {
                    let judge = |result| wrong_state(result, "it", PowerState::Halted);
                    without_effect(&guest, snapshots.create("x", kind), judge).await?;
                }
                listed(&snapshots, &[]).await
            })
        },
    )
    .needs(NEEDS),
    Check::quick("snapshots.go_with_guest", "the snapshots of a guest go with it", |cx| {
        Box::pin(async move {
            let before = cx.host().inventory().await?;
            let (guest, snapshots) = halted(cx).await?;
            snapshots.create("one", SnapshotKind::Disks).await?;
            snapshots.create("two", SnapshotKind::Disks).await?;
            guest.delete().await?;
            let left = cx.host().inventory().await?.added_since(&before);
            same("what is left", left, Vec::new())
        })
    })
    .needs(NEEDS)
    .alone(),
    Check::boots(
        "snapshots.running",
        "a snapshot of the disks of a running guest leaves it running, in the same boot",
        |cx| {
            Box::pin(async move {
                let guest = cx.up().await?;
                let snapshots = guest.snapshots()?;
                let boot = boot_id(&guest).await?;
                let one = snapshots.create("one", SnapshotKind::Disks).await?;
                power_is(&guest, PowerState::Running).await?;
                same("its boot", boot_id(&guest).await?, boot)?;
                guest.check().await?;
                snapshots.delete(&one).await?;
                same("its snapshots", snapshots.list().await?, Vec::new())
            })
        },
    )
    .needs(NEEDS),
    Check::boots(
        "snapshots.disks",
        "the disks of a guest that is reverted hold what they held, not what was written since",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up_as(&cx.spec("a").disk(DiskSpec::new(Memory::mib(8)))).await?;
                let snapshots = guest.snapshots()?;
                write(&guest, "one").await?;
                let one = snapshots.create("one", SnapshotKind::Disks).await?;
                write(&guest, "two").await?;
                same("what is on the disk", read(&guest).await?, "two".to_owned())?;
                snapshots.revert(&one).await?;
                power_is(&guest, PowerState::Halted).await?;
                guest.start().await?;
                guest.wait_until_reachable().await?;
                same("what is on the disk", read(&guest).await?, "one".to_owned())?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS),
    Check::boots(
        "snapshots.memory",
        "a guest that is reverted to a snapshot with its memory goes on from there",
        |cx| {
            Box::pin(async move {
                let guest = cx.own_up_as(&cx.spec("a").disk(DiskSpec::new(Memory::mib(8)))).await?;
                let snapshots = guest.snapshots()?;
                let boot = boot_id(&guest).await?;
                guest.shell().await?.write_file(IN_MEMORY, b"then", 0o600).await?;
                let one = snapshots.create("one", SnapshotKind::Memory).await?;
                same("what it reverts to", one.reverts_to, PowerState::Suspended)?;
                power_is(&guest, PowerState::Running).await?;
                same("its boot", boot_id(&guest).await?, boot.clone())?;
                guest.reboot(ShutdownMode::Hard).await?;
                ensure(boot_id(&guest).await? != boot, "it is the boot from before the reboot")?;
                snapshots.revert(&one).await?;
                power_is(&guest, PowerState::Suspended).await?;
                guest.check().await?;
                guest.resume().await?;
                guest.wait_until_reachable().await?;
                same("its boot", boot_id(&guest).await?, boot)?;
                let kept = guest.shell().await?.read_text(IN_MEMORY).await?;
                same("what it remembers", kept, "then".to_owned())?;
                Ok(guest.check().await?)
            })
        },
    )
    .needs(NEEDS),
];
