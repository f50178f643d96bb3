//! Several hosts that act as one.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Host, ObjectKind, Undo};
use crate::remote::{Wait, wait_until};
use crate::{Error, Result};

/// A host of a pool as the toolstack lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolMember {
    /// The toolstack's own name for it.
    pub id: String,
    /// Its name in the pool.
    pub name: String,
    /// Whether it speaks for the pool.
    pub coordinator: bool,
    /// Whether it answers the coordinator and takes guests.
    pub live: bool,
}

/// The pool that one host is in, where the toolstack has the ability [`Pool`](super::Ability::Pool);
/// see [`Host::pooling`]. A host alone is a pool of one.
///
/// The required methods ask, and the verbs act and verify.
#[async_trait]
pub trait Pooling: Send + Sync + std::fmt::Debug {
    /// The host.
    fn host(&self) -> &dyn Host;

    /// Another handle to the same, for what is done later.
    fn handle(&self) -> Arc<dyn Pooling>;

    /// What this host is in its pool ([`PoolMember::id`]).
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn own_id(&self) -> Result<String>;

    /// The hosts of the pool, this one included.
    ///
    /// # Errors
    /// When the toolstack cannot be asked.
    async fn members(&self) -> Result<Vec<PoolMember>>;

    /// Asks the toolstack to take this host, which is alone and has no guests, into the pool of
    /// another one.
    ///
    /// # Errors
    /// What it refuses; [`Error::Invalid`] for a host of another toolstack, or where the lab does not
    /// say what it takes.
    async fn request_join(&self, coordinator: &Arc<dyn Host>) -> Result<()>;

    /// Asks the toolstack to take this host out of its pool.
    ///
    /// # Errors
    /// What it refuses: the coordinator cannot be taken out.
    async fn request_leave(&self) -> Result<()>;

    // ---- verbs ----

    /// Brings this host into the pool of `coordinator`; it leaves when the scope of its handle ends.
    /// After: it is live among the members that the coordinator lists. One that is there already
    /// stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a host that is in another pool with others; as
    /// [`request_join`](Self::request_join); [`Error::Timeout`] when it is not seen live there.
    async fn join(&self, coordinator: &Arc<dyn Host>) -> Result<()> {
        let pool = coordinator.pooling()?;
        let host = self.host();
        let id = self.own_id().await?;
        if !pool.members().await?.iter().any(|member| member.id == id) {
            let others = self.members().await?.len();
            if others > 1 {
                let problem = format!("it is in a pool of {others} hosts already");
                return Err(Error::invalid(format!("host {:?}", host.name()), problem));
            }
            let object = host.object(ObjectKind::PoolMember, coordinator.name());
            host.scope().creating(&object);
            let handle = self.handle();
            let what =
                format!("take host {:?} out of the pool of {:?}", host.name(), coordinator.name());
            let undo = Undo::new(what, move || async move { handle.leave().await });
            // An answer that was lost may have been yes; leaving a pool of one is nothing.
            // The host boots meanwhile.
            let deadlines = &host.entry().deadlines;
            let deadline = deadlines.host_boot + deadlines.state;
            host.scope().on_cleanup(undo.of(object).within(deadline));
            self.request_join(coordinator).await?;
        }
        wait_until(format!("host {} to be live in the pool", host.name()), || async {
            let id = self.own_id().await?;
            let members = pool.members().await?;
            let own = members.iter().find(|member| member.id == id);
            let count = members.len();
            Ok(Wait::on(own.is_some_and(|own| own.live), format!("{own:?} among {count} hosts")))
        })
        .within(host.entry().deadlines.host_boot)
        .await
    }

    /// Takes this host out of its pool. *What is on its own storage is lost.* After: it is alone. A
    /// host that is alone is a success.
    ///
    /// # Errors
    /// As [`request_leave`](Self::request_leave); [`Error::Timeout`].
    async fn leave(&self) -> Result<()> {
        if self.members().await?.len() < 2 {
            return Ok(());
        }
        self.request_leave().await?;
        wait_until(format!("host {} to be alone", self.host().name()), || async {
            match self.members().await {
                Ok(members) => {
                    let seen = format!("it is one of {}", members.len());
                    Ok(Wait::on(members.len() < 2, seen))
                }
                // It starts anew.
                Err(error) => Ok(Wait::NotYet(error.to_string())),
            }
        })
        .within(self.host().entry().deadlines.host_boot)
        .await
    }
}
