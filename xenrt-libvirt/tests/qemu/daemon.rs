//! A daemon that dies and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use xenrt_core::model::{
    DiskSpec, Guest, GuestSpec, Host, Memory, PowerState, ShutdownMode, VifSpec,
};
use xenrt_core::remote::{Command, RemoteError, ShellExt as _};
use xenrt_core::{Error, Result};

use crate::world::{Which, World};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `a_daemon_may_die_at_any_time` in name spaces of its own"]
async fn inside() {
    let mut world = World::new();
    let host = world.connect().await;
    let guest = host.create_guest(&GuestSpec::new("survivor").image("tiny")).await.unwrap();
    guest.start_paused().await.unwrap();
    let domid = guest.domain().await.unwrap().unwrap().domid;

    // While it is away, every verb says so, at once and as what it is.
    world.kill_daemon(Which::First);
    let started = Instant::now();
    let lost = guest.unpause().await.unwrap_err();
    assert!(matches!(&lost, Error::Remote(error) if error.is_connection()), "{lost:?}");
    let again = guest.pause().await.unwrap_err();
    assert!(matches!(&again, Error::Remote(RemoteError::Connect { .. })), "{again:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());

    // A wait goes on when it is back, and the guest has lived on.
    let waiting = {
        let guest = Arc::clone(&guest);
        tokio::spawn(async move {
            guest.wait_for_state(PowerState::Paused, Duration::from_secs(60)).await
        })
    };
    world.start_daemon(Which::First);
    waiting.await.unwrap().unwrap();
    assert_eq!(guest.domain().await.unwrap().unwrap().domid, domid);
    guest.unpause().await.unwrap();
    guest.check().await.unwrap();

    guest.ensure_deleted().await.unwrap();
}

/// What a guest must be for a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// There is none yet.
    Nothing,
    Halted,
    /// Its kernel runs; that it came up is not waited for.
    Running,
    Paused,
    Suspended,
    /// Its memory is in the file of [`saved`].
    Saved,
    /// It is up, with a second disk and VIF.
    Up,
}

type Act = fn(Arc<dyn Host>, String, Option<Arc<dyn Guest>>) -> BoxFuture<'static, Result<()>>;

/// A verb that makes or changes the guest of this name.
macro_rules! verb {
    ($name:literal, $before:ident, $guest:ident => $act:expr) => {
        ($name, Before::$before, |_, _, guest| {
            let $guest = guest.unwrap();
            Box::pin(async move { $act.await.map(drop) })
        })
    };
}

/// The file that a guest is saved to.
fn saved(guest: &Arc<dyn Guest>) -> String {
    format!("{}/saved-{}", guest.host().entry().work_folder, guest.uuid())
}

/// Every verb there is.
const VERBS: &[(&str, Before, Act)] = &[
    ("create", Before::Nothing, |host, name, _| {
        Box::pin(async move { host.create_guest(&spec(&name)).await.map(drop) })
    }),
    verb!("start", Halted, guest => guest.start()),
    verb!("start_paused", Halted, guest => guest.start_paused()),
    verb!("pause", Running, guest => guest.pause()),
    verb!("unpause", Paused, guest => guest.unpause()),
    verb!("shutdown hard", Running, guest => guest.shutdown(ShutdownMode::Hard)),
    verb!("reboot hard", Running, guest => guest.reboot(ShutdownMode::Hard)),
    verb!("suspend", Running, guest => guest.suspend()),
    verb!("resume", Suspended, guest => guest.resume()),
    verb!("save", Running, guest => guest.save(&saved(&guest))),
    verb!("restore", Saved, guest => guest.restore(&saved(&guest))),
    verb!("rename", Halted, guest => guest.rename(&format!("{} anew", guest.name()))),
    verb!("set_vcpus", Halted, guest => guest.set_vcpus(2)),
    verb!("set_memory", Running, guest => guest.set_memory(Memory::mib(120))),
    verb!("attach_disk", Running, guest => guest.attach_disk(DiskSpec::new(Memory::mib(4)))),
    verb!("attach_vif", Running, guest => guest.attach_vif(VifSpec::on_default())),
    verb!("detach_disk", Up, guest => guest.detach_disk("vdb")),
    verb!("detach_vif", Up, guest => async {
        let mac = guest.view().await?.vifs[1].mac;
        guest.detach_vif(mac).await
    }),
    verb!("shutdown", Up, guest => guest.shutdown(ShutdownMode::Clean)),
    verb!("reboot", Up, guest => guest.reboot(ShutdownMode::Clean)),
    verb!("delete", Halted, guest => guest.delete()),
    verb!("delete suspended", Suspended, guest => guest.delete()),
];

fn spec(name: &str) -> GuestSpec {
    GuestSpec::new(name).image("tiny").max_vcpus(2).disk(DiskSpec::new(Memory::mib(8)))
}

/// A guest as a verb needs it.
async fn prepared(host: &Arc<dyn Host>, name: &str, before: Before) -> Option<Arc<dyn Guest>> {
    let spec = match before {
        Before::Nothing => return None,
        Before::Up => {
            let vif = VifSpec::on_default;
            spec(name).disk(DiskSpec::new(Memory::mib(8))).vif(vif()).vif(vif())
        }
        _ => spec(name),
    };
    let guest = host.create_guest(&spec).await.unwrap();
    match before {
        Before::Nothing | Before::Halted => {}
        Before::Paused => guest.start_paused().await.unwrap(),
        Before::Running => guest.start().await.unwrap(),
        Before::Up => {
            guest.start().await.unwrap();
            guest.wait_until_reachable().await.unwrap();
        }
        Before::Suspended => {
            guest.start().await.unwrap();
            guest.suspend().await.unwrap();
        }
        Before::Saved => {
            guest.start().await.unwrap();
            guest.save(&saved(&guest)).await.unwrap();
        }
    }
    Some(guest)
}

/// Whether there is a process of QEMU's for the guest: the truth that libvirt is held against.
fn has_process(guest: &Arc<dyn Guest>) -> bool {
    let word = format!("-uuid\0{}\0", guest.uuid());
    let processes = std::fs::read_dir("/proc").unwrap();
    processes.map(|process| process.unwrap().path()).any(|process| {
        // It may go while it is looked at.
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&word)
    })
}

/// What became of a verb, of which the state, and of what was asked next.
async fn aftermath(
    host: &Arc<dyn Host>,
    name: &str,
    verb: &str,
    result: &Result<()>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(error) = result {
        let known = matches!(error, Error::Remote(error) if error.is_connection())
            || matches!(error, Error::Timeout { .. } | Error::WrongState { .. })
            || error.toolstack_kind().is_some();
        if !known {
            wrong.push(format!("the error is {error:?}"));
        }
    }
    let guests = match host.guests().await {
        Ok(guests) => guests,
        Err(error) => return vec![format!("the next call: {error:?}")],
    };
    let Some(guest) = guests.into_iter().find(|guest| guest.name().starts_with(name)) else {
        if !verb.starts_with("delete") && verb != "create" {
            wrong.push("it is gone".to_owned());
        }
        return wrong;
    };
    let state = guest.power_state().await;
    let process = has_process(&guest);
    match &state {
        Ok(state) if state.has_domain() == process => {}
        other => wrong.push(format!("told {other:?}, and there is a process: {process}")),
    }
    if result.is_ok()
        && let Err(error) = guest.check().await
    {
        wrong.push(format!("it succeeded, and {error}"));
    }
    let began = Instant::now();
    let file = saved(&guest);
    if let Err(error) = guest.ensure_deleted().await {
        wrong.push(format!("after {:?} it cannot be removed: {error:?}", began.elapsed()));
    } else if began.elapsed() > Duration::from_secs(30) {
        wrong.push(format!("it took {:?} to remove it", began.elapsed()));
    }
    host.dom0().run(&Command::new("rm").args(["-f", &file])).await.unwrap();
    wrong
}

/// Killed in the middle of a verb: it succeeds, or its error is matchable, in time; and the next
/// call works and says what is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by `a_daemon_may_die_in_every_verb` in name spaces of its own"]
async fn in_every_verb() {
    let mut world = World::new();
    let host = world.connect().await;
    let before = host.inventory().await.unwrap();
    let mut wrong = Vec::new();
    for (verb, state, act) in VERBS {
        // How long it takes where nothing happens.
        let name = format!("whole {verb}");
        let guest = prepared(&host, &name, *state).await;
        let began = Instant::now();
        act(Arc::clone(&host), name.clone(), guest).await.unwrap();
        let whole = began.elapsed();
        let left = aftermath(&host, &name, verb, &Ok(())).await;
        assert_eq!(left, Vec::<String>::new(), "{verb}");
        for percent in [25, 75] {
            let name = format!("{verb} to {percent}");
            let guest = prepared(&host, &name, *state).await;
            let acting = tokio::spawn(act(Arc::clone(&host), name.clone(), guest));
            // What is verified is what becomes of it at any time; this is only likely the middle.
            tokio::time::sleep(whole * percent / 100).await;
            world.kill_daemon(Which::First);
            let began = Instant::now();
            world.start_daemon(Which::First);
            let limit = Duration::from_secs(300);
            let result = match tokio::time::timeout(limit, acting).await {
                Ok(joined) => joined.unwrap(),
                Err(_) => panic!("{name} hangs"),
            };
            let took = began.elapsed();
            let found = aftermath(&host, &name, verb, &result).await;
            eprintln!("{name}% of {whole:?}: {result:?} after {took:?}; {found:?}");
            wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
            let left = host.inventory().await.unwrap().added_since(&before);
            wrong.extend(left.into_iter().map(|what| format!("{name} left {what}")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
