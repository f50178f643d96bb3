//! Power states, names and refusals.

use std::sync::Arc;
use std::time::Instant;

use xenrt_core::Error;
use xenrt_core::model::{Guest, GuestAction, GuestKind, Host, PowerState, ShutdownMode};
use xenrt_core::remote::{Command, ShellExt};

use super::{booted, tiny};

/// Every verb that changes the power state, each followed by all checks.
pub(crate) async fn every_verb(host: Arc<dyn Host>, kind: GuestKind) {
    let guest = host.create_guest(&tiny("verbs", kind)).await.unwrap();
    guest.check().await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.check().await.unwrap();
    let uptime = || async { guest.shell().await.unwrap().text(&Command::new("hostname")).await };
    assert_eq!(uptime().await.unwrap(), "verbs");

    guest.pause().await.unwrap();
    guest.check().await.unwrap();
    guest.unpause().await.unwrap();
    guest.check().await.unwrap();

    guest.reboot(ShutdownMode::Clean).await.unwrap();
    guest.check().await.unwrap();
    guest.reboot(ShutdownMode::Hard).await.unwrap();
    guest.check().await.unwrap();

    let boot = || async {
        let read = Command::new("cat").arg("/proc/sys/kernel/random/boot_id");
        guest.shell().await.unwrap().text(&read).await.unwrap()
    };
    let before = boot().await;
    guest.suspend().await.unwrap();
    guest.check().await.unwrap();
    guest.resume().await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(boot().await, before, "a resumed guest goes on with the boot that it had");

    let file = format!("{}/saved by a test's hand", host.entry().work_folder);
    guest.save(&file).await.unwrap();
    guest.check().await.unwrap();
    guest.restore(&file).await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(boot().await, before, "a restored guest goes on with the boot that it had");
    host.dom0().run(&Command::new("rm").arg(&file)).await.unwrap();

    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    guest.check().await.unwrap();
    guest.start_paused().await.unwrap();
    guest.check().await.unwrap();
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    guest.check().await.unwrap();
    guest.delete().await.unwrap();
    guest.ensure_deleted().await.unwrap();
}

/// Suspended guests can be powered off and deleted.
pub(crate) async fn ends_of_a_suspended_guest(host: Arc<dyn Host>) {
    let guest = booted(&host, &tiny("sleeper", GuestKind::Pv)).await;
    guest.suspend().await.unwrap();
    let handles = host.guests().await.unwrap();
    let again = handles.iter().find(|own| own.uuid() == guest.uuid()).unwrap();
    assert_eq!(again.power_state().await.unwrap(), PowerState::Suspended);
    guest.shutdown(ShutdownMode::Hard).await.unwrap();
    assert_eq!(guest.power_state().await.unwrap(), PowerState::Halted);
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    guest.suspend().await.unwrap();
    guest.delete().await.unwrap();
}

/// Between the domain from before a reboot and the one from after it there is none, and the guest has
/// not ended.
pub(crate) async fn reboots_and_never_ends(host: Arc<dyn Host>) {
    let guest = booted(&host, &tiny("rebooter", GuestKind::Pvh)).await;
    let before = guest.domain().await.unwrap().unwrap().domid;
    let shell = guest.shell().await.unwrap();
    shell.run(&Command::shell_line("(sleep 1; reboot) >/dev/null 2>&1 &")).await.unwrap();
    let (mut seen, mut gaps) = (Vec::new(), 0);
    let started = Instant::now();
    loop {
        let (power, domain) = (guest.power_state().await.unwrap(), guest.domain().await.unwrap());
        seen.push(power);
        gaps += usize::from(domain.is_none());
        if power == PowerState::Running && domain.is_some_and(|own| own.domid != before) {
            break;
        }
        assert!(started.elapsed() < guest.deadlines().boot, "it does not reboot: {seen:?}");
    }
    assert!(!seen.contains(&PowerState::Halted), "{seen:?}, {gaps} looks saw no domain");
    println!("{} looks, of which {gaps} saw no domain: {seen:?}", seen.len());
    // One that is to go in the middle of a reboot goes, and does not come back.
    guest.wait_until_reachable().await.unwrap();
    guest.request(&GuestAction::Reboot).await.unwrap();
    guest.ensure_deleted().await.unwrap();
    assert!(host.domains().await.unwrap().iter().all(|own| own.name != "rebooter"));
}

/// Names that a shell, a configuration file or xl itself would take for something else.
pub(crate) async fn nasty_names(host: Arc<dyn Host>) {
    let guest = booted(&host, &tiny("7", GuestKind::Pv)).await;
    for name in [r#"it's a "guest" $(x)"#, "-v", "Domain 0 \\ größe", "back to 8"] {
        guest.rename(name).await.unwrap();
        assert_eq!(guest.name(), name);
        guest.check().await.unwrap();
        assert_eq!(host.guest(name).await.unwrap().uuid(), guest.uuid());
    }
    assert!(matches!(host.guest("7").await, Err(Error::NotFound { .. })));
    // A rebooted guest keeps its new name, and so does one that is halted, renamed and started.
    guest.rename(r#"it's a "guest" $(x)"#).await.unwrap();
    guest.reboot(ShutdownMode::Clean).await.unwrap();
    guest.check().await.unwrap();
    assert_eq!(guest.domain().await.unwrap().unwrap().name, guest.name());
    guest.shutdown(ShutdownMode::Clean).await.unwrap();
    guest.rename("`reboot`; 'x").await.unwrap();
    guest.start().await.unwrap();
    guest.wait_until_reachable().await.unwrap();
    assert_eq!(guest.domain().await.unwrap().unwrap().name, guest.name());
    guest.suspend().await.unwrap();
    guest.resume().await.unwrap();
    guest.check().await.unwrap();
}

/// What is not allowed is refused, and changes nothing.
pub(crate) async fn illegal_transitions(host: Arc<dyn Host>) {
    let guest = host.create_guest(&tiny("strict", GuestKind::Pv)).await.unwrap();
    let wrong = |result: xenrt_core::Result<()>| {
        assert!(matches!(result, Err(Error::WrongState { .. })), "{result:?}");
    };
    wrong(guest.pause().await);
    wrong(guest.unpause().await);
    wrong(guest.suspend().await);
    wrong(guest.resume().await);
    wrong(guest.shutdown(ShutdownMode::Clean).await);
    wrong(guest.reboot(ShutdownMode::Hard).await);
    guest.check().await.unwrap();
    guest.start_paused().await.unwrap();
    wrong(guest.start().await);
    wrong(guest.delete().await);
    wrong(guest.shutdown(ShutdownMode::Clean).await);
    guest.check().await.unwrap();

    let twin = host.create_guest(&tiny("strict", GuestKind::Pv)).await;
    assert!(matches!(twin, Err(Error::Invalid { .. })), "{twin:?}");
    let other = host.create_guest(&tiny("other", GuestKind::Pv)).await.unwrap();
    let taken = other.rename("strict").await.unwrap_err();
    let kind = taken.toolstack_kind();
    assert_eq!(kind, Some(xenrt_core::ToolstackErrorKind::AlreadyExists), "{taken}");
    assert_eq!(other.name(), "other");
    assert!(matches!(other.restore("relative/path").await, Err(Error::Invalid { .. })));
}

/// Two guests made, booted and ended at the same time do not get in each other's way.
pub(crate) async fn two_at_once(host: Arc<dyn Host>) {
    let both = futures::future::join_all(["left", "right"].map(|name| {
        let host = Arc::clone(&host);
        async move { booted(&host, &tiny(name, GuestKind::Pv)).await }
    }))
    .await;
    let addresses: Vec<_> = both.iter().map(|guest| guest.expectation().get().address).collect();
    assert_ne!(addresses[0], addresses[1]);
    futures::future::join_all(both.iter().map(|guest: &Arc<dyn Guest>| async move {
        guest.check().await.unwrap();
        guest.shutdown(ShutdownMode::Clean).await.unwrap();
    }))
    .await;
}
