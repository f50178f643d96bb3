//! Moving guests between hosts.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::Error;
use xenrt_core::model::{Ability, DiskSpec, GuestKind, Host, Memory, ShutdownMode};
use xenrt_core::remote::{Command, ShellExt};

use super::{booted, tiny};

/// A PVH guest moves while it runs, is managed by the other host from then on, and can come back.
pub(crate) async fn live(source: Arc<dyn Host>, target: Arc<dyn Host>) {
    let guest = booted(&source, &tiny("mover", GuestKind::Pvh)).await;
    let boot_id = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
    let before = guest.shell().await.unwrap().text(&boot_id).await.unwrap();
    let began = std::time::Instant::now();
    guest.migrate(&target).await.unwrap();
    println!("live migration: {:.1?}", began.elapsed());
    assert_eq!(guest.host().name(), target.name());
    guest.check().await.unwrap();
    assert_eq!(guest.shell().await.unwrap().text(&boot_id).await.unwrap(), before);
    assert!(matches!(source.guest("mover").await, Err(Error::NotFound { .. })));
    let there = target.guest("mover").await.unwrap();
    assert_eq!(there.uuid(), guest.uuid());
    guest.rename("moved").await.unwrap();
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    guest.check().await.unwrap();
}

/// A migration that nobody waits for any more leaves the guest where it was, and nothing at the target;
/// it can be moved afterwards.
pub(crate) async fn given_up(source: Arc<dyn Host>, target: Arc<dyn Host>) {
    let guest = booted(&source, &tiny("mover", GuestKind::Pvh)).await;
    let moving = guest.migrate(&target);
    tokio::time::timeout(Duration::from_secs(8), moving).await.expect_err("it moved in no time");
    guest.check().await.unwrap();
    assert_eq!(guest.host().name(), source.name());
    let left = target.domains().await.unwrap();
    assert!(left.iter().all(|domain| domain.uuid != Some(guest.uuid())), "{left:?}");
    assert!(target.guests().await.unwrap().is_empty());
    let receivers = Command::shell_line("pgrep -f '[m]igrate-receive' || true");
    assert_eq!(target.dom0().text(&receivers).await.unwrap(), "");
    guest.migrate(&target).await.unwrap();
    guest.check().await.unwrap();
}

/// What cannot be moved is refused before anything is done.
pub(crate) async fn refused(source: Arc<dyn Host>, target: Arc<dyn Host>) {
    let pv = booted(&source, &tiny("pv", GuestKind::Pv)).await;
    let error = pv.migrate(&target).await.unwrap_err();
    let expected = matches!(error, Error::Unsupported { ability: Ability::LiveMigration, .. });
    assert!(expected && error.to_string().contains("shadow paging"), "{error}");
    pv.check().await.unwrap();
    pv.shutdown(ShutdownMode::Hard).await.unwrap();

    let disk = tiny("disk", GuestKind::Pvh).disk(DiskSpec::new(Memory::mib(4)));
    let guest = booted(&source, &disk).await;
    let error = guest.migrate(&target).await.unwrap_err();
    assert!(error.to_string().contains("shared_folders"), "{error}");
    assert!(matches!(guest.migrate(&source).await, Err(Error::Invalid { .. })));
    guest.check().await.unwrap();
}
