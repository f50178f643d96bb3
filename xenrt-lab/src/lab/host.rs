//! A running virtual host.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::run::RunDirectory;
use super::ssh::SshAccess;
use crate::error::Result;
use crate::machine::Machine;
use crate::progress::{Progress, Task};
use crate::tools::Tools;
use crate::wait::{Look, wait_until};

/// How long a cold host may take until its dom0 answers: half a minute on an idle machine.
pub(crate) const BOOTING: Duration = Duration::from_secs(600);
/// How long a restored one may take: two seconds on an idle machine.
const WAKING: Duration = Duration::from_secs(240);
/// One login.
const LOGIN: Duration = Duration::from_secs(120);

/// A real Xen host in a virtual machine, with its dom0 up.
///
/// Dropping it ends it, and nothing of it stays. A host of a detached group goes on running.
#[derive(Debug)]
pub struct VirtualHost {
    // Dropped in this order: the machine ends before its directory goes.
    machine: Machine,
    run: Arc<RunDirectory>,
    number: u8,
    ssh: SshAccess,
    tools: Arc<Tools>,
    progress: Progress,
}

impl VirtualHost {
    pub(super) fn new(
        machine: Machine,
        run: Arc<RunDirectory>,
        number: u8,
        ssh: SshAccess,
        tools: Arc<Tools>,
        progress: Progress,
    ) -> Self {
        Self { machine, run, number, ssh, tools, progress }
    }

    /// Its host name: `xenhost1` for the first of a group.
    pub fn name(&self) -> String {
        format!("xenhost{}", self.number)
    }

    /// Its number in its group, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The name of its group, see [`VirtualLab::running`](super::VirtualLab::running).
    pub fn group(&self) -> String {
        self.run.id()
    }

    /// How dom0 is reached. Guests are reached through dom0 as a jump host, with the same key.
    pub fn ssh(&self) -> &SshAccess {
        &self.ssh
    }

    /// Its address on the cable that links the hosts of a group (bridge `xenbr1` in dom0).
    pub fn link_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 99, self.number)
    }

    /// The log of its serial console: Xen's messages and dom0's. It goes when the host goes.
    pub fn console_log(&self) -> PathBuf {
        self.machine.console()
    }

    /// The machine below, for what this type has no method for.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Runs a shell command in dom0 and returns its standard output. It is a login of its own: for a
    /// chore, not for a test's thousand commands.
    ///
    /// # Errors
    ///
    /// The command fails, or takes longer than `within`.
    pub async fn run(&self, command: &str, within: Duration) -> Result<String> {
        let finished = self.ssh.run(&self.tools, command, within).await?;
        // A script is known by its first line.
        let first: String = command.lines().next().unwrap_or_default().chars().take(100).collect();
        finished.output(&format!("`{first}` in {}", self.name()))
    }

    /// Pulls the power. What dom0 had not written to its disk is lost; the console log, the cables and
    /// the ssh port stay.
    pub async fn power_off(&self) -> Result<()> {
        self.machine.power_off().await
    }

    /// Turns the host on and waits until its dom0 answers: a cold boot.
    pub async fn power_on(&self) -> Result<()> {
        self.machine.power_on().await?;
        self.wait_until_booted(None).await
    }

    /// Pulls the power, turns the host on again and waits until its dom0 answers.
    ///
    /// # Errors
    ///
    /// The host was not up before (its boot id is asked for, to tell the new boot from the old), or it
    /// does not come back within ten minutes.
    pub async fn power_cycle(&self) -> Result<()> {
        let task = self.progress.begin(Task::PowerCycle(self.name()));
        // What the host wrote before has to survive, as it would on a disk with a battery.
        let before = self.run(&format!("sync; {BOOT_ID}"), LOGIN).await?;
        self.power_off().await?;
        self.machine.power_on().await?;
        self.wait_until_booted(Some(before.trim())).await?;
        task.finish();
        Ok(())
    }

    /// Ends the host. Nothing of it stays.
    pub async fn stop(self) -> Result<()> {
        self.machine.end()
    }

    /// Waits until dom0 answers and Xen's daemons run.
    pub(super) async fn wait_until_booted(&self, not_boot: Option<&str>) -> Result<()> {
        let ready = format!("systemctl is-active --quiet xen && xl list > /dev/null && {BOOT_ID}");
        let ready = &ready;
        // A greeting costs dom0 a process, and on a busy machine it may take long: whoever gives up
        // after the same short time again and again only keeps dom0 busy. So patience grows.
        let patience = AtomicU64::new(2000);
        let patience = &patience;
        wait_until("dom0 after a boot", BOOTING, Duration::from_millis(250), || async move {
            self.machine.check_alive()?;
            let millis = patience.load(Ordering::Relaxed);
            if let Err(seen) = self.ssh.banner(Duration::from_millis(millis)).await {
                patience.store((millis * 3 / 2).min(30_000), Ordering::Relaxed);
                return Ok(Look::NotYet(seen));
            }
            let answer = self.ssh.run(&self.tools, ready, LOGIN).await?;
            Ok(match not_boot {
                _ if !answer.success => Look::NotYet(answer.stderr),
                Some(old) if answer.stdout.trim() == old => {
                    Look::NotYet("the boot of before".into())
                }
                _ => Look::Done(()),
            })
        })
        .await
    }

    /// Makes a restored clone somebody of its own: name, clock, address on the cable.
    pub(super) async fn settle(&self) -> Result<()> {
        wait_until("dom0 after a restore", WAKING, Duration::from_millis(20), || async {
            self.machine.check_alive()?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let command = format!("xenrt-identity {} {:.3}", self.number, now.as_secs_f64());
            let answer = self.ssh.run(&self.tools, &command, LOGIN).await?;
            Ok(if answer.success { Look::Done(()) } else { Look::NotYet(answer.stderr) })
        })
        .await
    }
}

/// Prints an id that differs from boot to boot.
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
