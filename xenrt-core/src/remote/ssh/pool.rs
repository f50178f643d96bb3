//! The masters of one target, and who may use which.
//!
//! A server allows 10 sessions a connection unless its administrator says otherwise. Commands take
//! up to 8 of them, so that copies and the commands that stop others always find a place. Where
//! commands would have to wait (long ones hold their sessions), another master is opened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::SshTarget;
use super::failure::ConnectFailure;
use super::folder::Folder;
use super::master::{CONNECT_LIMIT, Master, USUAL_MAX_SESSIONS};

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Command,
    /// A copy, or the stopping of a command: may use the sessions that are kept back.
    Reserved,
}

/// Sessions of a master that commands leave to copies.
const KEPT_BACK: usize = 2;

/// How long a command waits for a session before another master is opened: longer than most
/// commands take, about as long as opening one does.
const PATIENCE: Duration = Duration::from_millis(200);

/// More masters than this are not opened for one target; commands wait then.
const MOST_MASTERS: usize = 16;

/// The connections to one target.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) target: SshTarget,
    /// The target, for people.
    pub(super) name: String,
    state: Mutex<State>,
    /// Woken when a session was given back or a master ended.
    changed: Arc<Notify>,
    /// Held while a master is opened: one at a time.
    opening: tokio::sync::Mutex<()>,
    /// Tells the commands of this process apart on the far side.
    secret: String,
    commands: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    folder: Option<Arc<Folder>>,
    masters: Vec<Arc<Master>>,
    /// Masters that were begun so far.
    begun: u64,
    /// The number of the last one that could not be opened, and why.
    failed: Option<(u64, ConnectFailure)>,
}

/// The right to one session of a master, given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) master: Arc<Master>,
    changed: Arc<Notify>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.master.in_use.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
    }
}

impl Pool {
    pub(super) fn new(target: SshTarget) -> Self {
        Self {
            name: target.to_string(),
            target,
            state: Mutex::default(),
            changed: Arc::new(Notify::new()),
            opening: tokio::sync::Mutex::new(()),
            secret: format!("{:08x}", rand::random::<u32>()),
            commands: AtomicU64::new(0),
        }
    }

    /// A name for a command that no other command has.
    pub(super) fn next_key(&self) -> String {
        format!("{}-{}", self.secret, self.commands.fetch_add(1, Ordering::Relaxed))
    }

    /// A session's place, on a living master, which is opened where there is none.
    pub(super) async fn acquire(&self, purpose: Purpose) -> Result<Lease, ConnectFailure> {
        let mut open_more = true;
        loop {
            // Registered before the look, so that a place given back right after it is not missed.
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            match self.look(purpose) {
                Look::Lease(lease) => return Ok(lease),
                Look::NoMaster(begun) => {
                    self.open_first(begun).await?;
                    continue;
                }
                Look::Busy(masters) if !open_more || masters >= MOST_MASTERS => changed.await,
                Look::Busy(_) => {
                    if tokio::time::timeout(PATIENCE, changed).await.is_ok() {
                        continue;
                    }
                    // Whoever opens one serves all who wait, so they look again rather than queue.
                    let Ok(_opening) = self.opening.try_lock() else { continue };
                    if let Err(failure) = self.open().await {
                        tracing::debug!(target = %self.name, ?failure, "no further ssh master");
                        open_more = false;
                    }
                }
            }
        }
    }

    fn look(&self, purpose: Purpose) -> Look {
        let mut state = self.state();
        state.masters.retain(|master| master.is_alive());
        for master in &state.masters {
            let capacity = master.capacity.load(Ordering::Acquire);
            let limit = match purpose {
                Purpose::Command => capacity.saturating_sub(KEPT_BACK).max(1),
                Purpose::Reserved => capacity,
            };
            if master.in_use.load(Ordering::Acquire) < limit {
                master.in_use.fetch_add(1, Ordering::AcqRel);
                let master = Arc::clone(master);
                return Look::Lease(Lease { master, changed: Arc::clone(&self.changed) });
            }
        }
        match state.masters.len() {
            0 => Look::NoMaster(state.begun),
            masters => Look::Busy(masters),
        }
    }

    /// Opens the first master, unless somebody did so meanwhile. `begun` is how many had been begun
    /// when the caller found none: the failure of a later one is the caller's failure, too.
    async fn open_first(&self, begun: u64) -> Result<(), ConnectFailure> {
        let _opening = self.opening.lock().await;
        {
            let state = self.state();
            if state.masters.iter().any(|master| master.is_alive()) {
                return Ok(());
            }
            if let Some((number, failure)) = &state.failed
                && *number >= begun
            {
                return Err(failure.clone());
            }
        }
        self.open().await
    }

    /// Opens one more master. The caller holds `opening`.
    async fn open(&self) -> Result<(), ConnectFailure> {
        let (number, folder) = {
            let mut state = self.state();
            let folder = match &state.folder {
                Some(folder) => Arc::clone(folder),
                None => {
                    let folder = Folder::create().map_err(|error| {
                        ConnectFailure::connect(format!(
                            "cannot make a folder for control sockets on this machine: {error}"
                        ))
                    })?;
                    Arc::clone(state.folder.insert(Arc::new(folder)))
                }
            };
            state.begun += 1;
            (state.begun - 1, folder)
        };
        let changed = Arc::clone(&self.changed);
        let master = Master::connect(&self.target, folder, number, changed).await;
        let mut state = self.state();
        match master {
            Ok(master) => {
                state.masters.push(Arc::new(master));
                drop(state);
                self.changed.notify_waiters();
                Ok(())
            }
            Err(failure) => {
                state.failed = Some((number, failure.clone()));
                Err(failure)
            }
        }
    }

    /// The server allowed a session. One that refused may only have been slow to notice the end of
    /// earlier ones, so what was learned from that is forgotten little by little.
    pub(super) fn allowed(&self, lease: &Lease) {
        const FORGOTTEN_AFTER: usize = 20;
        let Lease { master, .. } = lease;
        if master.capacity.load(Ordering::Acquire) < USUAL_MAX_SESSIONS
            && master.since_refusal.fetch_add(1, Ordering::AcqRel) >= FORGOTTEN_AFTER
        {
            master.since_refusal.store(0, Ordering::Release);
            master.capacity.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The server did not allow the session of this lease: the master has as many as it may have.
    /// Says whether there is hope elsewhere: a master that may have none at all is the last word.
    pub(super) fn refused(&self, lease: Lease) -> bool {
        let others = lease.master.in_use.load(Ordering::Acquire).saturating_sub(1);
        lease.master.capacity.fetch_min(others.min(USUAL_MAX_SESSIONS), Ordering::AcqRel);
        lease.master.since_refusal.store(0, Ordering::Release);
        if others == 0 {
            // Programs of sessions that broke off may hold its places; a new one starts with none.
            let master = Arc::clone(&lease.master);
            drop(lease);
            self.state().masters.retain(|known| !Arc::ptr_eq(known, &master));
        }
        others > 0
    }

    /// Ends all masters; what runs through them breaks off.
    pub(super) fn reset(&self) {
        let masters = std::mem::take(&mut self.state().masters);
        for master in masters {
            master.close();
        }
        self.changed.notify_waiters();
    }

    /// The longest that a connection may take to come about.
    pub(super) const CONNECT_LIMIT: Duration = CONNECT_LIMIT;

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Look {
    Lease(Lease),
    /// None lives; this many have been begun so far.
    NoMaster(u64),
    /// All sessions of this many masters are in use.
    Busy(usize),
}
