//! Waiting for what a test claims.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::table::{Grant, Table};
use super::{Request, Resource};
use crate::sequence::Claim;

/// The claims of the tests of a run.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    table: Mutex<Table<oneshot::Sender<Held>>>,
    next_workers: AtomicU64,
}

/// What a test has, until it is released or dropped.
#[derive(Debug)]
pub(crate) struct Held {
    claims: Arc<Claims>,
    /// `None` once it is released: nothing can be claimed by it any more.
    taken: Mutex<Option<Vec<(Resource, Claim)>>>,
    chosen_hosts: Vec<usize>,
}

/// Why something that was not claimed beforehand cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotHad {
    /// Another test has it.
    Taken,
    /// The test has ended.
    Ended,
}

impl Claims {
    /// With a semaphore for each of these numbers of tests.
    pub(in crate::sequencer) fn new(semaphores: &[usize]) -> Self {
        let claims = Self::default();
        for (number, limit) in (0..).zip(semaphores) {
            claims.lock().limit(Resource::Semaphore(number), *limit);
        }
        claims
    }

    /// Workers for the steps of a block, until it is dropped.
    pub(in crate::sequencer) fn workers(self: &Arc<Self>, count: usize) -> Workers {
        let number = self.next_workers.fetch_add(1, Ordering::Relaxed);
        let resource = Resource::Workers(number);
        self.lock().limit(resource, count);
        Workers { claims: Arc::clone(self), resource }
    }

    /// Waits until all of it is there. Nothing is taken when this is dropped before.
    pub(in crate::sequencer) async fn acquire(self: &Arc<Self>, request: Request) -> Held {
        let (receiver, (id, granted)) = {
            let mut table = self.lock();
            if let Some(grant) = table.take_now(&request) {
                drop(table);
                return self.held(grant);
            }
            let (sender, receiver) = oneshot::channel();
            (receiver, table.wait(request, sender))
        };
        let mut place = Place { claims: self, id: Some(id) };
        self.hand_out(granted);
        match receiver.await {
            Ok(held) => {
                place.id = None;
                held
            }
            // The table keeps the sender until it has sent.
            Err(_) => std::future::pending().await,
        }
    }

    fn held(self: &Arc<Self>, grant: Grant) -> Held {
        let Grant { taken, chosen_hosts } = grant;
        Held { claims: Arc::clone(self), taken: Mutex::new(Some(taken)), chosen_hosts }
    }

    /// Tells those who got something. Whoever does not wait any more gives it back, which may give
    /// it to others: a few turns at most, since each takes one out of the queue.
    fn hand_out(self: &Arc<Self>, granted: Vec<(oneshot::Sender<Held>, Grant)>) {
        for (who, grant) in granted {
            // Dropping what was refused releases it.
            drop(who.send(self.held(grant)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table<oneshot::Sender<Held>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The hosts that were chosen where any would do.
    pub(in crate::sequencer) fn chosen_hosts(&self) -> &[usize] {
        &self.chosen_hosts
    }

    /// Whether the test has it, in whichever way.
    #[cfg(test)]
    pub(crate) fn has(&self, resource: Resource) -> bool {
        self.lock().as_ref().is_some_and(|taken| taken.iter().any(|(own, _)| *own == resource))
    }

    /// Takes something that was not claimed beforehand, without waiting.
    pub(crate) fn claim_late(&self, resource: Resource, claim: Claim) -> Result<(), NotHad> {
        let mut own = self.lock();
        let Some(taken) = own.as_mut() else { return Err(NotHad::Ended) };
        if taken.iter().any(|(own, _)| *own == resource) {
            return Ok(());
        }
        if !self.claims.lock().take_late(resource, claim) {
            return Err(NotHad::Taken);
        }
        taken.push((resource, claim));
        Ok(())
    }

    /// Gives all back.
    pub(in crate::sequencer) fn release(&self) {
        let taken = self.lock().take().unwrap_or_default();
        if taken.is_empty() {
            return;
        }
        let granted = self.claims.lock().release(&taken);
        self.claims.hand_out(granted);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<(Resource, Claim)>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// A place in the queue, given up when it is dropped.
struct Place<'a> {
    claims: &'a Arc<Claims>,
    id: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let granted = self.claims.lock().give_up(id);
            self.claims.hand_out(granted);
        }
    }
}

/// The workers of a block.
#[derive(Debug)]
pub(in crate::sequencer) struct Workers {
    claims: Arc<Claims>,
    pub(in crate::sequencer) resource: Resource,
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.claims.lock().forget(self.resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(claim: Claim) -> Request {
        let mut request = Request::default();
        request.claim(Resource::Host(0), claim);
        request
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing_taken() {
        let claims = Arc::new(Claims::default());
        let first = claims.acquire(host(Claim::Exclusive)).await;
        let mut given_up = Box::pin(claims.acquire(host(Claim::Exclusive)));
        let mut next = Box::pin(claims.acquire(host(Claim::Shared)));
        assert!(futures::poll!(&mut given_up).is_pending());
        assert!(futures::poll!(&mut next).is_pending());
        // It was given to the first in the queue, which is gone before it could take it.
        drop(first);
        drop(given_up);
        let next = next.await;
        assert!(next.has(Resource::Host(0)));
        assert_eq!(next.claim_late(Resource::Host(0), Claim::Exclusive), Ok(()));
        next.release();
        assert_eq!(next.claim_late(Resource::Host(1), Claim::Shared), Err(NotHad::Ended));
        let alone = claims.acquire(host(Claim::Exclusive)).await;
        let other = claims.acquire(Request::default()).await;
        assert_eq!(other.claim_late(Resource::Host(0), Claim::Shared), Err(NotHad::Taken));
        drop(alone);
        assert_eq!(other.claim_late(Resource::Host(0), Claim::Shared), Ok(()));
    }
}
