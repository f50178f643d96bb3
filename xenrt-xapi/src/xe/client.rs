//! Sending commands, trying anew where that is safe.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;
use xenrt_core::remote::{Command, RemoteError, Shell, Wait, wait_until};

use super::understand::understand;
use super::{ApiCode, Login, Result, XeCommand, XeError, script};
use crate::parse;

/// How long it takes to end a command that outlives its deadline.
pub(super) const TO_END: Duration = Duration::from_secs(30);

/// The `xe` of one host.
///
/// Commands run in the host's control domain, through its shell. With a [remote login](Login) the
/// password goes there through standard input and stands, while the command runs, in a file that
/// only its user can read.
///
/// A command that xapi did not take (it is not running, starting, or busy with the same object) is
/// sent again until its deadline; so is one that only asks when the connection broke. Nothing else
/// is: an error says whether it [is ambiguous](XeError::is_ambiguous).
#[derive(Clone)]
pub struct Xe {
    shell: Arc<dyn Shell>,
    shared: Arc<Shared>,
}

struct Shared {
    login: Mutex<Login>,
    deadline: Duration,
    calls: AtomicU64,
    round_trips: AtomicU64,
}

impl fmt::Debug for Xe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xe").field("shell", &self.shell).field("login", &*self.login()).finish()
    }
}

/// What came of commands that [belong together](Xe::run_chain).
#[derive(Debug)]
pub struct Chain {
    /// What those printed that did what they should, in order. Fewer than were sent, and no error:
    /// the last one that ran found something and was to find [nothing](XeCommand::only_if_nothing).
    pub outputs: Vec<String>,
    /// Why the next one did not.
    pub error: Option<XeError>,
}

/// What came of sending some commands once.
#[derive(Default)]
struct Attempt {
    /// The outputs of those that did what they should.
    done: Vec<String>,
    /// Why the next one did not.
    error: Option<XeError>,
}

/// The commands after those that printed `done`, with what was made filled in.
fn still_to_run(commands: &[XeCommand], done: &[String]) -> Vec<XeCommand> {
    let (before, rest) = commands.split_at(done.len().min(commands.len()));
    let made = before.iter().zip(done).rev().find(|(command, _)| command.is_kept());
    let made = made.and_then(|(_, output)| parse::created(output).ok());
    let Some(made) = made else { return rest.to_vec() };
    // What comes after another one that makes something names that.
    let next = rest.iter().position(XeCommand::is_kept).map_or(rest.len(), |at| at + 1);
    let named = rest.iter().take(next).map(|command| command.with_made(made));
    named.chain(rest.iter().skip(next).cloned()).collect()
}

impl Xe {
    /// How long a command may take when neither it nor the client says otherwise.
    pub const DEFAULT_DEADLINE: Duration = Command::DEFAULT_DEADLINE;

    /// The `xe` that `shell` finds.
    pub fn new(shell: Arc<dyn Shell>, login: Login) -> Self {
        Self::with_deadline(shell, login, Self::DEFAULT_DEADLINE)
    }

    /// The same with another deadline for commands that do not say theirs.
    pub fn with_deadline(shell: Arc<dyn Shell>, login: Login, deadline: Duration) -> Self {
        let shared = Shared {
            login: Mutex::new(login),
            deadline,
            calls: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
        };
        Self { shell, shared: Arc::new(shared) }
    }

    /// The same client with another shell to the same host, one that records for instance.
    #[must_use]
    pub fn through(&self, shell: Arc<dyn Shell>) -> Self {
        Self { shell, shared: Arc::clone(&self.shared) }
    }

    /// How long a command may take that does not say otherwise.
    pub fn deadline(&self) -> Duration {
        self.shared.deadline
    }

    /// How many times `xe` was run through this client and its clones. Each costs the host a
    /// process, a connection to xapi and a login.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How many remote commands that took.
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::Relaxed)
    }

    /// Whether it speaks through the local socket of the control domain.
    pub(crate) fn is_local(&self) -> bool {
        matches!(*self.login(), Login::Local)
    }

    fn login(&self) -> MutexGuard<'_, Login> {
        // Holders replace the whole value.
        self.shared.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one command and returns what it printed.
    ///
    /// # Errors
    /// See [`XeError`].
    pub async fn run(&self, command: &XeCommand) -> Result<String> {
        let outputs = self.run_all(std::slice::from_ref(command)).await?;
        Ok(outputs.into_iter().next().unwrap_or_default())
    }

    /// Runs commands one after the other in one remote command, and returns what each printed. The
    /// first that fails is the last that runs.
    ///
    /// # Errors
    /// That of the command that failed; those before it were carried out.
    pub async fn run_all(&self, commands: &[XeCommand]) -> Result<Vec<String>> {
        let Chain { outputs, error } = self.run_chain(commands).await;
        match error {
            Some(error) => Err(error),
            None if outputs.len() == commands.len() => Ok(outputs),
            None => {
                let message = "fewer commands ran than were sent".to_owned();
                Err(XeError::Other { message })
            }
        }
    }

    /// Runs commands that belong together in one remote command, one after the other: a later one
    /// may name [what an earlier one made](XeCommand::made), and depend on an earlier one
    /// [finding nothing](XeCommand::only_if_nothing). The first that fails is the last that runs.
    ///
    /// Never fails as a whole: what was carried out before an error is told with it.
    pub async fn run_chain(&self, commands: &[XeCommand]) -> Chain {
        let deadline = |command: &XeCommand| command.deadline_value().unwrap_or(self.deadline());
        let total: Duration = commands.iter().map(deadline).sum();
        let started = Instant::now();
        let progress = Mutex::new(Attempt::default());
        let locked = || progress.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = wait_until("xapi to take the command", || async {
            let rest = still_to_run(commands, &locked().done);
            let left = total.saturating_sub(started.elapsed()).max(Duration::from_secs(1));
            let attempt = self.attempt(&rest, left).await;
            let mut progress = locked();
            let rest = rest.get(attempt.done.len()..).unwrap_or_default();
            progress.done.extend(attempt.done);
            progress.error = attempt.error;
            let Some(error) = &progress.error else {
                return Ok(Wait::Done(()));
            };
            let again = error.may_be_tried_again()
                || (error.is_ambiguous() && rest.iter().all(XeCommand::only_asks))
                || self.follow(error);
            let again = again && started.elapsed() < total;
            Ok(if again { Wait::NotYet(error.to_string()) } else { Wait::Done(()) })
        })
        .within(total + TO_END)
        .await;
        let Attempt { done, error } = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        // One that did not even end when it was told to left no error of its own.
        let late = commands.get(done.len()).filter(|_| waited.is_err()).map(|command| {
            XeError::Remote(RemoteError::Deadline {
                target: self.shell.target().to_owned(),
                command: command.to_string(),
                deadline: total,
                stdout: String::new(),
                stderr: String::new(),
            })
        });
        Chain { error: error.or(late), outputs: done }
    }

    /// Sends commands once.
    async fn attempt(&self, commands: &[XeCommand], left: Duration) -> Attempt {
        let mut done = Vec::new();
        let login = self.login().clone();
        let sent = match script::remote(&login, commands) {
            Ok(sent) => sent,
            Err(error) => return Attempt { done, error: Some(error) },
        };
        let ran = async {
            self.shared.round_trips.fetch_add(1, Ordering::Relaxed);
            let output = self.shell.execute(&sent.command.clone().deadline(left)).await?;
            sent.read(output, self.shell.target())
        };
        let ran = match ran.await {
            Ok(ran) => ran,
            Err(error) => {
                // At least the first one began, unless there was no connection at all.
                let began = !matches!(error, XeError::Remote(RemoteError::Connect { .. }));
                self.shared.calls.fetch_add(u64::from(began), Ordering::Relaxed);
                return Attempt { done, error: Some(error) };
            }
        };
        self.shared.calls.fetch_add(ran.len() as u64, Ordering::Relaxed);
        for (command, ran) in commands.iter().zip(ran) {
            let output = understand(command, ran).and_then(|output| {
                if command.is_kept() {
                    parse::created(&output)?;
                }
                Ok(output)
            });
            match output {
                Ok(output) => done.push(output),
                Err(error) => {
                    let error = error.masked(&|text| sent.command.mask(text));
                    return Attempt { done, error: Some(error) };
                }
            }
        }
        Attempt { done, error: None }
    }

    /// Goes to the pool's coordinator where an error names it and a login can be used there.
    fn follow(&self, error: &XeError) -> bool {
        let Some(api) = error.api().filter(|api| api.code == ApiCode::HostIsSlave) else {
            return false;
        };
        let Some((_, coordinator)) = api.parameters.first() else { return false };
        let mut login = self.login();
        let next = login.at(coordinator);
        let moved = *login != next;
        *login = next;
        moved
    }

    /// Runs a command that creates one object and returns its UUID.
    ///
    /// # Errors
    /// See [`XeError`]; also when it printed no UUID, since then nothing was made.
    pub async fn create(&self, command: &XeCommand) -> Result<Uuid> {
        Ok(parse::created(&self.run(command).await?)?)
    }

    /// Runs a list and returns the first field of each object (see [`minimal`](parse::minimal)).
    ///
    /// # Errors
    /// See [`XeError`].
    pub async fn list(&self, command: XeCommand) -> Result<Vec<String>> {
        Ok(parse::minimal(&self.run(&command.minimal()).await?)?)
    }

    /// Runs a list for UUIDs.
    ///
    /// # Errors
    /// See [`XeError`].
    pub async fn uuids(&self, command: XeCommand) -> Result<Vec<Uuid>> {
        let uuid = |text: String| {
            text.parse().map_err(|_| parse::not_understood("xe --minimal", "a UUID", &text).into())
        };
        self.list(command).await?.into_iter().map(uuid).collect()
    }

    /// The value of one parameter, or of one key of it; `None` where it refers to nothing.
    ///
    /// # Errors
    /// See [`XeError`].
    pub async fn get(&self, class: &str, uuid: Uuid, name: &str) -> Result<Option<String>> {
        let command =
            XeCommand::new(format!("{class}-param-get")).uuid(uuid).param("param-name", name);
        Ok(parse::single(&self.run(&command).await?).text().map(str::to_owned))
    }

    /// Waits until an object of `class` has these values in its fields, without asking again and
    /// again: xapi is asked to tell (`event-wait`). `false` when `within` passed first. A field may
    /// be asked to be different from a value: `/=/value`.
    ///
    /// xapi itself would wait for ever, and does not notice that the object is gone: look yourself
    /// now and then.
    ///
    /// # Errors
    /// See [`XeError`].
    pub async fn wait_for_event(
        &self,
        class: &str,
        uuid: Uuid,
        fields: &[(&str, &str)],
        within: Duration,
    ) -> Result<bool> {
        let command = XeCommand::new("event-wait").param("class", class).uuid(uuid);
        let add = |command: XeCommand, (name, value): &(&str, &str)| command.param(*name, *value);
        let command = fields.iter().fold(command, add).deadline(within);
        match self.run(&command).await {
            Ok(_) => Ok(true),
            Err(XeError::Remote(RemoteError::Deadline { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
