//! To whom what is created belongs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::Guest;
use crate::Result;
use crate::remote::Observer;

/// What kind of thing a [`CreatedObject`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ObjectKind {
    /// A guest, with its disks and all that its toolstack keeps for it.
    Guest,
    /// A network.
    Network,
    /// A storage, with all that is kept on it.
    Storage,
    /// A template, with its disks.
    Template,
    /// That a host is a member of the pool of another one, whose name this is.
    PoolMember,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guest => "guest",
            Self::Network => "network",
            Self::Storage => "storage",
            Self::Template => "template",
            Self::PoolMember => "member of pool",
        })
    }
}

/// One thing on a host that a run made, by its name: enough to find and remove it when the process
/// that made it is dead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CreatedObject {
    /// What the lab calls the host.
    pub host: String,
    /// What kind of thing it is.
    pub kind: ObjectKind,
    /// Its name on the host.
    pub name: String,
}

/// `guest "tiny" on rack1-a`.
impl fmt::Display for CreatedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} on {}", self.kind, self.name, self.host)
    }
}

/// One thing to be undone: what it is, and how.
pub struct Undo {
    description: String,
    object: Option<CreatedObject>,
    deadline: Duration,
    action: Box<dyn FnOnce() -> BoxFuture<'static, Result<()>> + Send>,
}

impl Undo {
    /// How long one undo may take before the next one is tried, unless it is one that [takes
    /// longer](Self::within).
    pub const DEADLINE: Duration = Duration::from_secs(120);

    /// An undo. `description` follows "undo: " in logs: `delete guest "tiny"`.
    pub fn new<F, Fut>(description: impl Into<String>, action: F) -> Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let action = Box::new(|| Box::pin(action()) as BoxFuture<'static, _>);
        Self { description: description.into(), object: None, deadline: Self::DEADLINE, action }
    }

    /// Says which object of a host is gone once it is undone.
    #[must_use]
    pub fn of(mut self, object: CreatedObject) -> Self {
        self.object = Some(object);
        self
    }

    /// Lets it take so long.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long it may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The object of a host that it removes, where it is about one.
    pub fn object(&self) -> Option<&CreatedObject> {
        self.object.as_ref()
    }

    /// What will be undone.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Does it.
    ///
    /// # Errors
    /// Whatever the action returns. An undo of something that is gone already is a success.
    pub async fn run(self) -> Result<()> {
        (self.action)().await
    }
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Undo").field("description", &self.description).finish_non_exhaustive()
    }
}

/// Who a handle to a host belongs to: a test, or the preparation of a run.
///
/// What is created through a handle registers its undo here, and commands that are run through it
/// are told to the scope's observer. Handles are moved into a scope with
/// [`Host::in_scope`](super::Host::in_scope). Clones share one list.
#[derive(Clone, Default)]
pub struct Scope {
    undos: Arc<Mutex<Vec<Undo>>>,
    guests: Arc<Mutex<Vec<Arc<dyn Guest>>>>,
    observer: Option<Arc<dyn Observer>>,
}

/// Without its guests: they show their host, and that its scope.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("undos", &self.len()).finish_non_exhaustive()
    }
}

impl Scope {
    /// A scope whose commands are told to `observer`.
    pub fn observed_by(observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..Self::default() }
    }

    /// Who is told about commands, if anybody.
    pub fn observer(&self) -> Option<&Arc<dyn Observer>> {
        self.observer.as_ref()
    }

    /// Says that `object` is about to be made. The observer has it on record before this returns, so
    /// that whoever goes on after a crash knows what may be left.
    pub fn creating(&self, object: &CreatedObject) {
        if let Some(observer) = &self.observer {
            observer.creating(object);
        }
    }

    /// Says that `object` is about to be called `to`, which is on record before this returns.
    pub fn renaming(&self, object: &CreatedObject, to: &str) {
        if let Some(observer) = &self.observer {
            observer.renaming(object, to);
        }
    }

    /// Says that `object`, which was [about to be made](Self::creating), was not: the host refused,
    /// and what goes by its name is not ours.
    pub fn not_created(&self, object: &CreatedObject) {
        if let Some(observer) = &self.observer {
            observer.not_created(object);
        }
    }

    /// Registers an undo; it will run before all that were registered earlier.
    pub fn on_cleanup(&self, undo: Undo) {
        self.undos.lock().unwrap_or_else(PoisonError::into_inner).push(undo);
    }

    /// Takes the undo that is to run next, the one that was registered last.
    pub fn take_last(&self) -> Option<Undo> {
        self.undos.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Notes a guest that was created here. After a test, the guests that it created are checked
    /// and give evidence.
    pub fn note_guest(&self, guest: Arc<dyn Guest>) {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).push(guest);
    }

    /// The guests that were created here, those that are gone included.
    pub fn guests(&self) -> Vec<Arc<dyn Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of the guests that were created here; their handles hold the host, and that this
    /// scope.
    pub fn forget_guests(&self) {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many undos are registered.
    pub fn len(&self) -> usize {
        self.undos.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is nothing to undo.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
