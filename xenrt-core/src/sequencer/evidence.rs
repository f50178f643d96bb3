//! Evidence: what explains an outcome that is not Passed, as files in the folder of the test.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::finish::with_causes;
use crate::model::{ExpectedGuest, Guest, GuestView, PowerState, compare_guest};
use crate::remote::{Command, ShellExt as _};
use crate::report::command_text;
use crate::seconds::Readable;
use crate::testcase::{Outcome, Phase, TestContext};
use crate::{Error, ToolstackErrorKind};

/// A cancelled run does not wait longer than this for evidence.
const WHEN_CANCELLED: Duration = Duration::from_secs(10);
/// A guest that does not answer by then does not answer.
const GUEST_ANSWERS: Duration = Duration::from_secs(20);

/// Collects what hosts, guests and the lab know, and the commands of the test. What cannot be had
/// is said in the log. Texts of the lab and kernel logs of guests are looked through for findings:
/// a host that crashed tells so on its serial console alone.
pub(super) async fn collect_evidence(cx: &TestContext, outcome: &Outcome, started: Instant) {
    cx.enter(Phase::Evidence);
    cx.show_phase();
    let folder = match cx.evidence_folder() {
        Ok(folder) => folder,
        Err(error) => return cx.warn(format!("no evidence: {}", with_causes(&error))),
    };
    let cancelled = matches!(outcome, Outcome::Blocked { .. });
    let reserve = cx.shared().cleanup_reserve;
    let most = if cancelled { WHEN_CANCELLED.min(reserve) } else { reserve };
    save(cx, "commands.log", transcript(cx));
    let hosts = cx.hosts_used();
    let from_hosts = hosts.iter().map(|(_, host)| {
        let folder = folder.join(file_name(host.name()));
        async move {
            match timeout(most, host.collect_evidence(&folder)).await {
                Ok(Ok(files)) => files,
                Ok(Err(error)) => missing(cx, "host", host.name(), &with_causes(&error)),
                Err(_) => {
                    missing(cx, "host", host.name(), &format!("it took over {}", Readable(most)))
                }
            }
        }
    });
    let from_guests = cx.guests_used().into_iter().map(|guest| of_guest(cx, guest, most));
    let from_lab = async {
        let Some(provider) = cx.shared().provider.as_ref().filter(|_| !hosts.is_empty()) else {
            return Vec::new();
        };
        let folder = folder.join("lab");
        let name = provider.description();
        match timeout(most, provider.collect_evidence(&folder)).await {
            Ok(Ok(())) => files_of(&folder),
            Ok(Err(error)) => missing(cx, "lab", &name, &with_causes(&error)),
            Err(_) => missing(cx, "lab", &name, &format!("it took over {}", Readable(most))),
        }
    };
    let (hosts, guests, lab) = tokio::join!(join_all(from_hosts), join_all(from_guests), from_lab);
    // Told in one order, whoever was the first to answer.
    hosts.into_iter().flatten().for_each(|file| cx.tell_evidence(&file));
    for GuestEvidence { files, kernel_log } in guests {
        files.iter().for_each(|(file, contents)| save(cx, file, contents));
        if let Some((source, text)) = kernel_log {
            find(cx, &source, &text, started).await;
        }
    }
    for file in lab {
        cx.tell_evidence(&file);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // What is no text has no findings.
        if let Ok(bytes) = tokio::fs::read(&file).await {
            find(cx, &format!("lab {name}"), &String::from_utf8_lossy(&bytes), started).await;
        }
    }
}

/// Writes what the test left behind into a file, where it left anything.
pub(super) fn save_leaks(cx: &TestContext, leaked: &[String]) {
    if !leaked.is_empty() {
        save(cx, "leaks.txt", format!("{}\n", leaked.join("\n")));
    }
}

async fn find(cx: &TestContext, source: &str, text: &str, started: Instant) {
    let findings = cx.shared().findings.look_at_text(source, text, started).await;
    findings.into_iter().for_each(|finding| cx.send(finding));
}

struct GuestEvidence {
    files: Vec<(String, Vec<u8>)>,
    /// What findings are looked for in, and what to call it.
    kernel_log: Option<(String, String)>,
}

async fn of_guest(cx: &TestContext, guest: Arc<dyn Guest>, most: Duration) -> GuestEvidence {
    let name = guest.name();
    let file = |what: &str| format!("{}-{what}.txt", file_name(&name));
    let console = async {
        match timeout(most, guest.console_text()).await {
            Ok(Ok(text)) => return Some((file("console"), text)),
            Ok(Err(Error::Unsupported { .. })) => {}
            Ok(Err(error)) => drop(missing(cx, "guest", &name, &with_causes(&error))),
            Err(_) => {
                drop(missing(cx, "guest", &name, &format!("it took over {}", Readable(most))))
            }
        }
        None
    };
    let screen = async {
        match timeout(most, guest.screenshot()).await {
            Ok(Ok(picture)) => picture,
            Ok(Err(Error::Unsupported { .. })) => None,
            Ok(Err(error)) => {
                missing(cx, "guest", &name, &with_causes(&error));
                None
            }
            Err(_) => {
                missing(cx, "guest", &name, &format!("its screen took over {}", Readable(most)));
                None
            }
        }
    };
    let answers = GUEST_ANSWERS.min(most);
    let kernel_log = timeout(answers, kernel_log(guest.as_ref()));
    let state = timeout(most, state(guest.as_ref(), answers));
    let (console, screen, kernel_log, state) = tokio::join!(console, screen, kernel_log, state);
    let mut files: Vec<_> =
        console.into_iter().map(|(file, text)| (file, text.into_bytes())).collect();
    files.extend(screen.map(|picture| (format!("{}-screen.png", file_name(&name)), picture)));
    let kernel_log = kernel_log.ok().flatten();
    if let Some(text) = &kernel_log {
        files.push((file("dmesg"), text.clone().into_bytes()));
    }
    if let Ok(Some(text)) = state {
        files.push((file("state"), text.into_bytes()));
    }
    let source = format!("guest {name} kernel log");
    GuestEvidence { files, kernel_log: kernel_log.map(|text| (source, text)) }
}

/// The kernel log of a guest through its own shell, where it answers. One that does not is no news:
/// the state says so.
async fn kernel_log(guest: &dyn Guest) -> Option<String> {
    let expected = guest.expectation().get();
    // An address that was never known is not waited for.
    let address = expected.address.filter(|_| expected.reachable)?;
    let shell = guest.shell_at(address).ok()?;
    let command = Command::new("dmesg").deadline(GUEST_ANSWERS);
    shell.text(&command).await.ok().filter(|text| !text.is_empty())
}

/// What a guest should be beside what it is in each of three views, and the differences. `None`
/// for a guest that is gone.
async fn state(guest: &dyn Guest, answers: Duration) -> Option<String> {
    let expected = guest.expectation().get();
    let toolstack = guest.view().await;
    if let Err(error) = &toolstack
        && error.toolstack_kind() == Some(ToolstackErrorKind::NoSuchObject)
    {
        return None;
    }
    let hypervisor = guest.domain().await;
    let running = toolstack.as_ref().is_ok_and(|view| view.power == PowerState::Running);
    let inside = match expected.reachable && running {
        true => match timeout(answers, guest.inside()).await {
            Ok(result) => result.map(Some).map_err(|error| with_causes(&error)),
            Err(_) => Err(format!("it did not answer within {}", Readable(answers))),
        },
        false => Ok(None),
    };
    let differences = compare_guest(
        &expected,
        toolstack.as_ref().ok(),
        hypervisor.as_ref().ok().map(Option::as_ref),
        inside.as_ref().ok().and_then(Option::as_ref),
    );
    let mut text = format!("guest {:?}\n\nexpected:\n{}", guest.name(), expected_text(&expected));
    // Writing into a String cannot fail.
    let _ = match &toolstack {
        Ok(view) => write!(text, "\ntoolstack:\n{}", view_text(view)),
        Err(error) => write!(text, "\ntoolstack: {}\n", with_causes(error)),
    };
    let _ = match &hypervisor {
        Ok(Some(domain)) => write!(
            text,
            "\nhypervisor:\n  domain {}\n  power state {}\n  vCPUs {}\n  memory {}\n",
            domain.domid, domain.power, domain.vcpus, domain.memory
        ),
        Ok(None) => writeln!(text, "\nhypervisor: no domain"),
        Err(error) => writeln!(text, "\nhypervisor: {}", with_causes(error)),
    };
    let _ = match &inside {
        Ok(Some(view)) => write!(
            text,
            "\ninside:\n  vCPUs {}\n  memory {}\n  disks [{}]\n  network interfaces [{}]\n",
            view.vcpus,
            view.memory,
            view.disks.join(", "),
            join(&view.macs)
        ),
        Ok(None) => writeln!(text, "\ninside: not asked, since nothing says that it answers"),
        Err(problem) => writeln!(text, "\ninside: {problem}"),
    };
    text.push_str("\ndifferences:\n");
    if differences.is_empty() {
        text.push_str("  none\n");
    }
    for difference in differences {
        let crate::model::Difference { view, what, expected, found } = difference;
        let _ = writeln!(text, "  {what} ({view}): expected {expected}, found {found}");
    }
    Some(text)
}

fn expected_text(expected: &ExpectedGuest) -> String {
    let disks: Vec<_> = expected.disks.iter().map(|disk| disk.device.as_str()).collect();
    let macs: Vec<_> = expected.vifs.iter().map(|vif| vif.mac).collect();
    format!(
        "  power state {}\n  vCPUs {}\n  memory {}\n  disks [{}]\n  VIFs [{}]\n  {}\n",
        expected.power,
        expected.vcpus,
        expected.memory,
        disks.join(", "),
        join(&macs),
        if expected.reachable { "a login works" } else { "no login is expected to work" },
    )
}

fn view_text(view: &GuestView) -> String {
    let disks: Vec<_> = view.disks.iter().map(|disk| disk.device.as_str()).collect();
    let macs: Vec<_> = view.vifs.iter().map(|vif| vif.mac).collect();
    format!(
        "  power state {}\n  vCPUs {} of {}\n  memory {}\n  disks [{}]\n  VIFs [{}]\n",
        view.power,
        view.vcpus,
        view.max_vcpus,
        view.memory,
        disks.join(", "),
        join(&macs),
    )
}

fn join(macs: &[crate::model::MacAddress]) -> String {
    macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Says that there is no evidence, which is no file.
fn missing(cx: &TestContext, kind: &str, name: &str, why: &str) -> Vec<PathBuf> {
    cx.warn(format!("no evidence of {kind} {name:?}: {why}"));
    Vec::new()
}

fn save(cx: &TestContext, name: &str, contents: impl AsRef<[u8]>) {
    if contents.as_ref().is_empty() {
        return;
    }
    if let Err(error) = cx.save_evidence(name, contents) {
        cx.warn(format!("no evidence {name}: {}", with_causes(&error)));
    }
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    // A lab that has nothing to say makes no folder.
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

/// The last commands of the test, as a person would have seen them.
fn transcript(cx: &TestContext) -> String {
    let mut text = String::new();
    for record in cx.commands() {
        let seconds = record.seconds.0.as_secs_f64();
        // Writing into a String cannot fail.
        let _ = writeln!(text, "[{}] {} {seconds:.3} s\n", record.target, command_text(&record));
    }
    text
}

/// A name as a part of a path.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    if name.trim_matches('.').is_empty() { "_".to_owned() } else { name }
}
