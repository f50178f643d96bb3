//! What is done about a test after its own code: checks, undo, leaks.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::body::Task;
use super::panics::catch;
use super::{EventKind, Events, Level};
use crate::model::{
    DomainView, ExpectedGuest, Guest, GuestView, Host, HostInventory, PowerState, Undo,
};
use crate::seconds::Readable;
use crate::testcase::{Outcome, Phase, TestContext};
use crate::{Blame, Error, ToolstackErrorKind};

/// How long a host may take to list what stands on it.
const INVENTORY_DEADLINE: Duration = Duration::from_secs(60);

/// Checks the hosts that the test used and its guests that still exist. All that is found is told
/// in one outcome.
pub(super) async fn check(cx: &TestContext) -> Result<(), Outcome> {
    cx.enter(Phase::Check);
    cx.show_phase();
    let reserve = cx.shared().cleanup_reserve;
    let guests = cx.guests_used().into_iter().map(|guest| async move {
        match timeout(reserve, guest.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) if error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject) => {
                None
            }
            Ok(Err(error)) => Some((error.blame(), with_causes(&error))),
            Err(_) => Some((
                Blame::Product,
                format!(
                    "the check of guest {:?} did not end within {}",
                    guest.name(),
                    Readable(reserve)
                ),
            )),
        }
    });
    let hosts = cx.hosts_used().into_iter().map(|(_, host)| async move {
        let reachable = timeout(reserve, host.is_reachable()).await.unwrap_or(false);
        let message = || format!("host {:?} cannot be reached after the test", host.name());
        (!reachable).then(|| (Blame::Product, message()))
    });
    let (guests, hosts) = tokio::join!(join_all(guests), join_all(hosts));
    if cx.shared().observe {
        observe(cx).await;
    }
    let found: Vec<_> = hosts.into_iter().chain(guests).flatten().collect();
    if found.is_empty() {
        return Ok(());
    }
    let phase = Phase::Check;
    let message = found.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n");
    // One word against the product is enough; without any, whoever kept us from looking is told.
    Err(match found.iter().find(|(blame, _)| *blame == Blame::Product) {
        Some(_) => Outcome::Failed { phase, message },
        None => Outcome::Errored { phase, blame: found[0].0, message },
    })
}

/// Tells what the guests of a test look like. One that cannot be looked at is told as such: whether
/// that is wrong is for the checks to say.
async fn observe(cx: &TestContext) {
    let reserve = cx.shared().cleanup_reserve;
    let looks = cx.guests_used().into_iter().map(|guest| async move {
        let both = guest.views();
        let state = match timeout(reserve, both).await {
            Ok(Ok((view, domain))) => state_of(&view, domain.as_ref()),
            Ok(Err(error)) => match error.toolstack_kind() {
                Some(ToolstackErrorKind::NoSuchObject) => return None,
                _ => "cannot be looked at".to_owned(),
            },
            Err(_) => format!("did not answer within {}", Readable(reserve)),
        };
        Some((format!("guest {}", guest.name()), state))
    });
    for (object, state) in join_all(looks).await.into_iter().flatten() {
        cx.send(EventKind::Observed { object, state });
    }
}

/// A guest in words that are the same on all toolstacks: no names of devices, no memory that a
/// hypervisor rounds.
fn state_of(view: &GuestView, domain: Option<&DomainView>) -> String {
    let number = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let domain = domain.map_or_else(
        || "no domain".to_owned(),
        |domain| format!("domain {}, {}", domain.power, number(domain.vcpus as usize, "vCPU")),
    );
    format!(
        "{}, {} of {}, {}, {}, {}; {domain}",
        view.power,
        number(view.vcpus as usize, "vCPU"),
        view.max_vcpus,
        view.memory,
        number(view.disks.len(), "disk"),
        number(view.vifs.len(), "VIF"),
    )
}

/// Undoes all that the test created or registered, the last first. What could not be undone is
/// returned, a line each.
pub(super) async fn undo_all(cx: &TestContext) -> Vec<String> {
    cx.enter(Phase::Undo);
    let mut left = Vec::new();
    while let Some(undo) = cx.take_undo() {
        let description = undo.description().to_owned();
        let object = undo.object().cloned();
        let error = self::undo(Some(cx), undo).await.err();
        if let Some(error) = &error {
            left.push(format!("could not {description}: {error}"));
        }
        cx.send(EventKind::Undone { undo: description, object, error });
    }
    cx.forget_guests();
    left
}

/// Runs an undo in a task of its own, at most [so long](Undo::deadline), for a test or for the run.
pub(super) async fn undo(cx: Option<&TestContext>, undo: Undo) -> Result<(), String> {
    let deadline = undo.deadline();
    let work = catch(Box::pin(undo.run()));
    let mut task = match cx {
        Some(cx) => Task::start(cx, work),
        None => Task::start_plain(work),
    };
    match timeout(deadline, task.ended()).await {
        Ok(Ok(Ok(Ok(())))) => Ok(()),
        Ok(Ok(Ok(Err(error)))) => Err(with_causes(&error)),
        Ok(Ok(Err(panic))) | Ok(Err(panic)) => Err(panic.to_string()),
        Err(_) => Err(format!("it did not end within {}", Readable(deadline))),
    }
}

/// What stands on a host now; `None`, and a word in the log, where it cannot be found out.
pub(super) async fn inventory(events: &Events, host: &dyn Host) -> Option<HostInventory> {
    let problem = match timeout(INVENTORY_DEADLINE, host.inventory()).await {
        Ok(Ok(inventory)) => return Some(inventory),
        Ok(Err(error)) => with_causes(&error),
        Err(_) => format!("it did not answer within {}", Readable(INVENTORY_DEADLINE)),
    };
    let text = format!("host {:?} cannot be searched for leaks: {problem}", host.name());
    events.log(Level::Warning, text);
    None
}

/// What the test left on its hosts, and guests of the preparation that it left otherwise than it
/// found them.
pub(super) async fn find_leaks(cx: &TestContext) -> Vec<String> {
    let resources = cx.resources();
    let mut leaked = Vec::new();
    for (at, before) in cx.prepared_guests_used() {
        let guest = &resources.guests[at].guest;
        leaked.extend(left_otherwise(guest.as_ref(), &before));
    }
    for (at, _) in cx.hosts_used() {
        let run_host = &resources.hosts[at];
        let Some(turn) = run_host.ledger.leave() else { continue };
        if at >= resources.own {
            // What comes and goes there may be other runs'.
            continue;
        }
        let Some(after) = inventory(&cx.shared().events, run_host.host.as_ref()).await else {
            continue;
        };
        let Some((added, tests)) = run_host.ledger.compare(&turn, after) else { continue };
        let own = cx.case().planned.label();
        let others: Vec<_> = tests.into_iter().filter(|test| *test != own).collect();
        let doubt = match others.as_slice() {
            [] => String::new(),
            others => format!(" (or left by {}, which ran beside it)", others.join(", ")),
        };
        let host = run_host.host.name();
        leaked.extend(added.into_iter().map(|object| format!("{object} on {host}{doubt}")));
    }
    leaked
}

fn left_otherwise(guest: &dyn Guest, before: &ExpectedGuest) -> Vec<String> {
    let after = guest.expectation().get();
    let mut differences = Vec::new();
    let mut compare = |what: &str, before: String, after: String| {
        if before != after {
            let name = guest.name();
            differences.push(format!("guest {name:?} left with {what} {after}, was {before}"));
        }
    };
    let power = |power: PowerState| power.to_string();
    compare("power state", power(before.power), power(after.power));
    compare("vCPUs", before.vcpus.to_string(), after.vcpus.to_string());
    compare("memory", before.memory.to_string(), after.memory.to_string());
    let disks = |expected: &ExpectedGuest| {
        let devices: Vec<_> = expected.disks.iter().map(|disk| disk.device.as_str()).collect();
        format!("[{}]", devices.join(", "))
    };
    compare("disks", disks(before), disks(&after));
    let vifs = |expected: &ExpectedGuest| {
        let macs: Vec<_> = expected.vifs.iter().map(|vif| vif.mac.to_string()).collect();
        format!("[{}]", macs.join(", "))
    };
    compare("VIFs", vifs(before), vifs(&after));
    differences
}

/// An error with its causes, in one line each.
pub(super) fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // Some errors say what their cause says; once is enough.
        let error_text = error.to_string();
        if !text.contains(&error_text) {
            text = format!("{text}: {error_text}");
        }
        cause = error.source();
    }
    text
}
