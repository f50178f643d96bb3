//! The shells of dom0 and of guests.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::commands::{Session, SimAnswer, SimPlace};
use super::defect::Defect;
use super::fault::SimCall;
use super::faults::Asked;
use super::machine::Machine;
use super::time::pause;
use crate::Error;
use crate::remote::{
    Command, ExitStatus, Output, Process, Processes, RemoteError, Result, Running, Shell, Stdin,
    Stopper,
};

/// How long a copy may take.
const COPY: Duration = Duration::from_secs(300);

/// A shell on a simulated host: that of dom0, or one inside a guest that is reached through it.
#[derive(Debug)]
pub(super) struct SimShell {
    machine: Arc<Machine>,
    /// The address of the guest.
    at: Option<IpAddr>,
    target: String,
    processes: Processes,
}

/// Where a command ends up: the machine that the guest is on by now.
struct Place {
    machine: Arc<Machine>,
    guest: Option<(Uuid, String)>,
    /// Whether what is asked is not done, and called done.
    ignores: bool,
}

impl Place {
    fn session(&self) -> Session<'_> {
        Session { machine: &self.machine, guest: self.guest.as_ref().map(|(uuid, _)| *uuid) }
    }
}

impl SimShell {
    pub(super) fn dom0(machine: Arc<Machine>) -> Self {
        let target = machine.target();
        Self { machine, at: None, target, processes: Processes::default() }
    }

    pub(super) fn guest(machine: Arc<Machine>, user: &str, at: IpAddr) -> Self {
        let target = format!("{user}@{at}:22 via {}", machine.target());
        Self { machine, at: Some(at), target, processes: Processes::default() }
    }

    fn cannot_connect(&self, message: String) -> RemoteError {
        RemoteError::Connect { target: self.target.clone(), message, source: None }
    }

    /// Finds who answers, and lets the call in.
    async fn enter(&self, what: &str, deadline: Duration) -> Result<Place> {
        let behind = self.at.map(|at| self.machine.world.guest_at(at));
        let name = match &behind {
            Some(Some((machine, uuid))) => {
                machine.state().vm(machine, *uuid).map(|vm| vm.name.clone())
            }
            _ => None,
        };
        let call = if self.at.is_some() { SimCall::Inside } else { SimCall::Dom0 };
        let host = self.machine.entry.name.as_str();
        let asked = Asked { call, host, guest: name.as_deref(), verb: None, command: Some(what) };
        let ignores = match self.machine.enter(asked, deadline).await {
            Ok(admitted) if admitted.lose_answer => {
                return Err(RemoteError::Disconnected {
                    target: self.target.clone(),
                    command: what.to_owned(),
                    message: "the connection was closed".to_owned(),
                });
            }
            Ok(admitted) => admitted.ignore,
            Err(Error::Remote(error)) => return Err(error),
            Err(error) => {
                return Err(RemoteError::Failed {
                    command: what.to_owned(),
                    target: self.target.clone(),
                    status: ExitStatus::Code(1),
                    stdout: String::new(),
                    stderr: error.to_string(),
                });
            }
        };
        let Some(behind) = behind else {
            return Ok(Place { machine: Arc::clone(&self.machine), guest: None, ignores });
        };
        let nobody = || self.cannot_connect("no route to host".to_owned());
        let (machine, uuid) = behind.ok_or_else(nobody)?;
        machine.reachable()?;
        let paused_runs = machine.has(Defect::PauseStillSchedules);
        let mut state = machine.state();
        let vm = state.vm(&machine, uuid).ok_or_else(nobody)?;
        if let Some(problem) = vm.login_problem(Instant::now(), paused_runs) {
            return Err(self.cannot_connect(problem));
        }
        let mut guest = (uuid, vm.name.clone());
        if machine.has(Defect::LoginReachesAnother) {
            let other = state.vms.values().find(|vm| vm.uuid != uuid && vm.domain.is_some());
            if let Some(other) = other {
                guest = (other.uuid, other.name.clone());
            }
        }
        drop(state);
        Ok(Place { machine, guest: Some(guest), ignores })
    }

    fn answer(&self, place: &Place, line: &str, stdin: &Stdin) -> SimAnswer {
        if place.ignores {
            return SimAnswer::success();
        }
        let named = SimPlace {
            host: &place.machine.entry.name,
            guest: place.guest.as_ref().map(|(_, name)| name.as_str()),
        };
        if let Some(taught) = self.machine.world.taught(&named, line) {
            return taught;
        }
        let stdin = match stdin {
            Stdin::Empty | Stdin::Held => &[][..],
            Stdin::Bytes(bytes) | Stdin::HeldAfter(bytes) => bytes,
        };
        let mut answer = place.session().run(line, stdin).unwrap_or_else(|| {
            self.machine.world.note_unknown(&self.target, line);
            let program = line.split_whitespace().next().unwrap_or_default();
            SimAnswer::failure(127, format!("sh: 1: {program}: not found\n"))
        });
        if place.guest.is_none() {
            if self.machine.has(Defect::ShellSwallowsStatus) {
                answer.code = 0;
            }
            if self.machine.has(Defect::ShellDropsStderr) {
                answer.stderr.clear();
            }
        }
        answer
    }

    fn no_copy(&self, path: &str, message: &str) -> RemoteError {
        RemoteError::Copy {
            from: path.to_owned(),
            to: self.target.clone(),
            message: message.to_owned(),
        }
    }
}

#[async_trait]
impl Shell for SimShell {
    fn target(&self) -> &str {
        &self.target
    }

    async fn execute(&self, command: &Command) -> Result<Output> {
        let started = Instant::now();
        let line = command.to_shell_line();
        let deadline = command.deadline_value();
        let place = self.enter(&command.to_string(), deadline).await?;
        let answer = self.answer(&place, &line, command.stdin_value());
        let endless = place.guest.is_none() && self.machine.has(Defect::ShellIgnoresDeadline);
        if answer.takes >= deadline && !endless {
            pause(deadline).await;
            return Err(RemoteError::Deadline {
                target: self.target.clone(),
                command: command.to_string(),
                deadline,
                stdout: command.mask(&String::from_utf8_lossy(&answer.stdout)),
                stderr: command.mask(&String::from_utf8_lossy(&answer.stderr)),
            });
        }
        pause(answer.takes).await;
        Ok(Output {
            status: ExitStatus::Code(answer.code),
            stdout: answer.stdout,
            stderr: answer.stderr,
            elapsed: started.elapsed(),
        })
    }

    async fn start(&self, command: &Command) -> Result<Process> {
        let line = command.to_shell_line();
        let place = self.enter(&command.to_string(), command.deadline_value()).await?;
        let answer = self.answer(&place, &line, command.stdin_value());
        let stop = Arc::new(Notify::new());
        let listed = Listed::new(&place, command.to_string());
        let told = Arc::clone(&stop);
        let exit = async move {
            let listed = listed;
            tokio::select! {
                () = pause(answer.takes) => Ok(ExitStatus::Code(answer.code)),
                () = told.notified() => {
                    listed.told_to_stop();
                    Ok(ExitStatus::Signal(Some(15)))
                }
            }
        };
        let running = Running {
            stdout: std::io::Cursor::new(answer.stdout),
            stderr: std::io::Cursor::new(answer.stderr),
            feed: async {},
            exit,
            stopper: SimStopper(stop),
            announcement: None,
            deadline: Instant::now() + command.deadline_value(),
        };
        let process = running.drive(&self.target, command);
        self.processes.add(&process);
        Ok(process)
    }

    async fn write_file(&self, path: &str, bytes: &[u8], _mode: u32) -> Result<()> {
        let place = self.enter(&format!("[write {path}]"), COPY).await?;
        if place.ignores || place.session().write(path, bytes.to_vec()) {
            return Ok(());
        }
        Err(self.no_copy(path, "No such file or directory"))
    }

    async fn read_file(&self, path: &str) -> Result<Vec<u8>> {
        let place = self.enter(&format!("[read {path}]"), COPY).await?;
        let bytes = place.session().read(path);
        bytes.ok_or_else(|| self.no_copy(path, "No such file or directory"))
    }

    async fn upload(&self, from: &Path, to: &str, mode: u32) -> Result<()> {
        let bytes = tokio::fs::read(from).await.map_err(|source| RemoteError::Local {
            action: format!("cannot read {}", from.display()),
            source,
        })?;
        self.write_file(to, &bytes, mode).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        let bytes = self.read_file(from).await?;
        tokio::fs::write(to, bytes).await.map_err(|source| RemoteError::Local {
            action: format!("cannot write {}", to.display()),
            source,
        })
    }

    async fn reset(&self) {}

    async fn stop_all(&self) -> Vec<String> {
        self.processes.stop_all().await
    }
}

/// Ends a simulated process: it does so as soon as it is told.
#[derive(Debug)]
struct SimStopper(Arc<Notify>);

#[async_trait]
impl Stopper for SimStopper {
    async fn stop(&self, _leader: Option<u32>) {
        self.0.notify_one();
    }
}

/// A process in the list of its host, until it ends.
struct Listed {
    machine: Arc<Machine>,
    pid: Option<u32>,
    stays: std::cell::Cell<bool>,
}

impl Listed {
    fn new(place: &Place, what: String) -> Self {
        let machine = Arc::clone(&place.machine);
        let pid = place.guest.is_none().then(|| {
            let mut state = machine.state();
            let pid = state.new_pid();
            state.processes.insert(pid, what);
            pid
        });
        Self { machine, pid, stays: std::cell::Cell::new(false) }
    }

    fn told_to_stop(&self) {
        self.stays.set(self.machine.has(Defect::StopLeavesProcess));
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.filter(|_| !self.stays.get()) {
            self.machine.state().processes.remove(&pid);
        }
    }
}
