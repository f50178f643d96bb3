//! A running QEMU.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cable;
use super::config::{CONSOLE, MONITOR, MachineConfig, Network};
use super::qmp::{QUICK, Qmp};
use crate::error::{IoContext as _, LabError, Result};
use crate::process::{Fate, Guarded, ProcessId, Spawner, find_by_argument};
use crate::tools::Tools;
use crate::wait::{Look, last_lines, wait_until};

/// How long QEMU may take from its start to its monitor.
const STARTING: Duration = Duration::from_secs(60);
/// How long writing or reading the state of a machine may take. Its memory is not in it.
const STATE: Duration = Duration::from_secs(120);
/// File that says which QEMU runs in a machine's directory.
pub(crate) const RECORD: &str = "machine.json";
const LOG: &str = "qemu.log";

/// Which QEMU runs in a directory. Written *before* QEMU starts, without its process id; when that is
/// missing, the process is found by its name.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Its name, different for every machine, and what it is made of.
    config: MachineConfig,
    process: Option<ProcessId>,
}

/// The directory of one machine.
#[derive(Clone, Debug)]
pub(crate) struct MachineDirectory(pub(crate) PathBuf);

impl MachineDirectory {
    fn write(&self, record: &Record) -> Result<()> {
        let path = self.0.join(RECORD);
        let text = serde_json::to_vec(record)
            .map_err(|error| LabError::Damaged { path: path.clone(), why: error.to_string() })?;
        fs::write(&path, text).io("write", &path)
    }

    fn read(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.0.join(RECORD)).ok()?).ok()
    }

    /// The QEMU that runs here, if one does.
    pub(crate) fn process(&self) -> Option<ProcessId> {
        let record = self.read()?;
        record.process.or_else(|| find_by_argument(&record.config.name)).filter(|id| id.is_alive())
    }

    /// Ends the QEMU that runs here, if one does.
    pub(crate) fn end(&self) -> Result<()> {
        self.process().map_or(Ok(()), |process| process.end(Duration::from_secs(10)))
    }

    /// Connects to the monitor. The socket's path may be longer than a socket address can be, so it is
    /// reached through an open descriptor of its directory.
    async fn monitor(&self) -> Result<Qmp> {
        let directory = fs::File::open(&self.0).io("open", &self.0)?;
        let socket = format!("/proc/self/fd/{}/{MONITOR}", directory.as_raw_fd());
        Qmp::connect(Path::new(&socket)).await
    }
}

/// A running machine. Dropping it ends QEMU, unless it was started detached.
#[derive(Debug)]
pub struct Machine {
    directory: MachineDirectory,
    config: MachineConfig,
    /// `None` for a detached machine that an earlier program started.
    child: Option<Mutex<Guarded>>,
    qmp: Qmp,
    ssh_port: u16,
}

impl Machine {
    /// Starts QEMU in `directory`, which must exist, and connects to its monitor. A machine without an
    /// incoming state begins to boot.
    ///
    /// # Errors
    ///
    /// [`LabError::QemuExited`] with QEMU's words when it does not like its command line.
    pub(crate) async fn start(
        tools: &Tools,
        spawner: &Spawner,
        directory: &Path,
        config: MachineConfig,
        detached: bool,
    ) -> Result<Self> {
        let directory = MachineDirectory(directory.to_owned());
        directory.write(&Record { config: config.clone(), process: None })?;
        let log = directory.0.join(LOG);
        let fate = if detached { Fate::Detached } else { Fate::DieWith("KILL") };
        // Until the machine is up it is ours, even if it is to be left alone later.
        let mut child = spawner
            .spawn(&tools.qemu, fate, &log, |qemu| {
                qemu.args(config.arguments()).current_dir(&directory.0);
            })
            .await?;
        let process = ProcessId::of(child.pid());
        directory.write(&Record { config: config.clone(), process })?;

        let qmp = {
            let (directory, child, log) = (&directory, &mut child, &log);
            wait_until("QEMU's monitor", STARTING, Duration::from_millis(10), || {
                let exited = child.exited();
                async move {
                    if let Some(status) = exited {
                        return Err(exited_error(&status.to_string(), log));
                    }
                    Ok(match directory.monitor().await {
                        Ok(qmp) => Look::Done(qmp),
                        Err(error) => Look::NotYet(error.to_string()),
                    })
                }
            })
            .await?
        };
        let ssh_port = ssh_port(&qmp, &config).await?;
        let child = child.leave_when(detached);
        Ok(Self { directory, config, child: Some(Mutex::new(child)), qmp, ssh_port })
    }

    /// Takes up a machine that an earlier program started detached.
    pub(crate) async fn attach(directory: &Path) -> Result<Self> {
        let directory = MachineDirectory(directory.to_owned());
        let gone = || LabError::NotRunning(directory.0.display().to_string());
        let record = directory.read().ok_or_else(gone)?;
        directory.process().ok_or_else(gone)?;
        let qmp = directory.monitor().await?;
        let ssh_port = ssh_port(&qmp, &record.config).await?;
        Ok(Self { directory, config: record.config, child: None, qmp, ssh_port })
    }

    /// The port of 127.0.0.1 that leads to the machine's ssh.
    pub fn ssh_port(&self) -> u16 {
        self.ssh_port
    }

    /// What the machine is made of.
    pub fn config(&self) -> &MachineConfig {
        &self.config
    }

    /// What the machine wrote to its serial port: the hypervisor's and dom0's console.
    pub fn console(&self) -> PathBuf {
        self.directory.0.join(CONSOLE)
    }

    /// The monitor, for what this type has no method for.
    pub fn qmp(&self) -> &Qmp {
        &self.qmp
    }

    /// An error if QEMU has ended.
    pub(crate) fn check_alive(&self) -> Result<()> {
        let exited = self.child.as_ref().and_then(|child| lock(child).exited());
        match exited {
            Some(status) => Err(exited_error(&status.to_string(), &self.directory.0.join(LOG))),
            None => Ok(()),
        }
    }

    /// Reads the state that [`save_state`](Self::save_state) wrote and lets the machine run.
    pub(crate) async fn load_state(&self, state: &Path) -> Result<()> {
        self.prepare_migration().await?;
        let uri = format!("exec:cat {}", shell_quote(state));
        self.qmp.execute("migrate-incoming", json!({ "uri": uri }), QUICK).await?;
        self.migrated("restoring the machine").await?;
        self.wait_for_status("the end of the restore", |status| status != "inmigrate").await?;
        self.resume().await
    }

    /// Stops the machine and writes its state to a file: everything but its memory, if that is in a
    /// shared file. The machine stays stopped.
    pub(crate) async fn save_state(&self, state: &Path) -> Result<()> {
        self.pause().await?;
        self.prepare_migration().await?;
        // QEMU's default of 128 MiB/s is meant for a network.
        self.qmp
            .execute("migrate-set-parameters", json!({ "max-bandwidth": 1_u64 << 34 }), QUICK)
            .await?;
        let uri = format!("exec:cat > {}", shell_quote(state));
        self.qmp.execute("migrate", json!({ "uri": uri }), QUICK).await?;
        self.migrated("saving the machine").await
    }

    async fn prepare_migration(&self) -> Result<()> {
        let capabilities = json!({
            "capabilities": [{ "capability": "x-ignore-shared", "state": true }]
        });
        self.qmp.execute("migrate-set-capabilities", capabilities, QUICK).await?;
        Ok(())
    }

    async fn migrated(&self, what: &str) -> Result<()> {
        wait_until(what, STATE, Duration::from_millis(20), || async {
            let info = self.qmp.execute("query-migrate", json!({}), QUICK).await?;
            Ok(match info["status"].as_str() {
                Some("completed") => Look::Done(()),
                Some("failed" | "cancelled") => {
                    let log = fs::read_to_string(self.directory.0.join(LOG)).unwrap_or_default();
                    return Err(LabError::Command {
                        what: what.into(),
                        status: "failed".into(),
                        output: format!("{info}\n{}", last_lines(&log, 10)),
                    });
                }
                other => Look::NotYet(other.unwrap_or("no status").to_owned()),
            })
        })
        .await
    }

    async fn wait_for_status(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        wait_until(what, STATE, Duration::from_millis(10), || async {
            let status = self.status().await?;
            Ok(if wanted(&status) { Look::Done(()) } else { Look::NotYet(status) })
        })
        .await
    }

    /// QEMU's word for what the machine does: `running`, `paused`, `shutdown`, ...
    pub async fn status(&self) -> Result<String> {
        let answer = self.qmp.execute("query-status", json!({}), QUICK).await?;
        Ok(answer["status"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Stops the CPUs. Nothing inside notices.
    pub async fn pause(&self) -> Result<()> {
        self.qmp.execute("stop", json!({}), QUICK).await.map(drop)
    }

    /// Lets the CPUs run.
    pub async fn resume(&self) -> Result<()> {
        self.qmp.execute("cont", json!({}), QUICK).await.map(drop)
    }

    /// Pulls the power: the CPUs stop for good, and what was not on disk is lost. The machine's memory
    /// and cables stay, so it can be turned on again.
    pub async fn power_off(&self) -> Result<()> {
        self.pause().await
    }

    /// Turns the machine on: it boots from the beginning, whatever it did before.
    pub async fn power_on(&self) -> Result<()> {
        self.qmp.execute("system_reset", json!({}), QUICK).await?;
        self.resume().await
    }

    /// Plugs a cable between the hubs of two machines: this one listens, the other connects, and both
    /// ends are connected when this returns. `id` is the cable's name in both machines, `here` this
    /// machine's directory as seen from the other's.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] with what QEMU last said of the end that did not connect.
    pub(crate) async fn plug_cable(&self, id: &str, other: &Self, here: &str) -> Result<()> {
        cable::listen(&self.qmp, id, id).await?;
        cable::connect(&other.qmp, id, &format!("{here}/{id}")).await?;
        cable::connected(&self.qmp, id).await
    }

    /// Ends QEMU. It is gone when this returns.
    pub(crate) fn end(&self) -> Result<()> {
        match &self.child {
            Some(child) => {
                lock(child).end();
                Ok(())
            }
            None => self.directory.end(),
        }
    }
}

fn lock(child: &Mutex<Guarded>) -> MutexGuard<'_, Guarded> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks QEMU which port the kernel chose for the way to the machine's ssh.
async fn ssh_port(qmp: &Qmp, config: &MachineConfig) -> Result<u16> {
    if !config.nics.iter().any(|nic| matches!(nic.network, Network::Management { .. })) {
        return Ok(0);
    }
    let text = qmp.human("info usernet").await?;
    forwarded_port(&text).ok_or_else(|| LabError::QmpConnection(format!("no port in {text:?}")))
}

fn exited_error(status: &str, log: &Path) -> LabError {
    let output = fs::read_to_string(log).unwrap_or_default();
    LabError::QemuExited { status: status.into(), output: last_lines(&output, 10) }
}

/// The port of 127.0.0.1 in the answer to `info usernet`.
fn forwarded_port(text: &str) -> Option<u16> {
    text.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.next()? == "TCP[HOST_FORWARD]").then_some(())?;
        // Descriptor, address, port.
        fields.nth(2)?.parse().ok()
    })
}

/// A path for the shell that QEMU runs `exec:` with.
fn shell_quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_that_the_kernel_chose() {
        let text = "Hub -1 (net0):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  TCP[HOST_FORWARD]  14       127.0.0.1 40123       10.0.2.15    22     0     0\n";
        assert_eq!(forwarded_port(text), Some(40123));
        assert_eq!(forwarded_port("nothing"), None);
    }

    #[test]
    fn a_path_survives_the_shell() {
        assert_eq!(shell_quote(Path::new("/it's/state")), r"'/it'\''s/state'");
    }
}
