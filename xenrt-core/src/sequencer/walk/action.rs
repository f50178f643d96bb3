//! What is done between tests.

use std::time::Duration;

use tokio::time::Instant;

use super::{Around, Reason, Walk, Walked};
use crate::seconds::micros;
use crate::sequence::{Action, Claim};
use crate::sequencer::EventKind;
use crate::sequencer::claims::{Held, Request, Resource};
use crate::sequencer::plan::PlanAction;
use crate::sequencer::prepare::Prepared;

impl Walk {
    pub(super) async fn action(
        &self,
        step: &PlanAction,
        around: &Around,
        blocked: Option<Reason>,
    ) -> Walked {
        let began = Instant::now();
        let (action, line) = (step.name(), step.place.line);
        let stopped = around.stop.reason().map(|reason| reason.before());
        let not_done = blocked.as_deref().map(str::to_owned).or(stopped);
        let ran = not_done.is_none();
        let error = match not_done {
            Some(by) => Some(format!("not done, since {by}")),
            None => {
                let started = EventKind::ActionStarted { action: action.clone(), line };
                self.shared.events.send(None, started);
                match step.action {
                    Action::Sleep(time) => self.sleep(time, around).await.err(),
                    Action::Prepare => self.prepare_again(around).await.err(),
                }
            }
        };
        // Where its time is over, that is what blocks the others.
        let failed = error.as_ref().filter(|_| ran && around.stop.reason().is_none());
        let blocks = failed.map(|error| {
            Reason::from(format!("the action {action:?} at line {line} failed: {error}"))
        });
        let seconds = micros(began.elapsed());
        self.shared.events.send(None, EventKind::ActionFinished { action, line, seconds, error });
        Walked { blocked: None, blocks, ran }
    }

    /// A place among the workers of the parallel block around a step, where it has a number of
    /// them.
    pub(super) async fn worker(&self, around: &Around) -> Option<Held> {
        let mut request = Request::default();
        request.claim(around.workers?, Claim::Shared);
        Some(self.shared.claims.acquire(request).await)
    }

    async fn sleep(&self, time: Duration, around: &Around) -> Result<(), String> {
        let work = async {
            let _worker = self.worker(around).await;
            tokio::time::sleep(time).await;
        };
        tokio::select! {
            biased;
            () = work => Ok(()),
            reason = around.stop.stopped() => Err(reason.before()),
        }
    }

    /// Undoes what the preparation made and does it again, with all hosts and guests for itself.
    async fn prepare_again(&self, around: &Around) -> Result<(), String> {
        let resources = self.shared.resources();
        let mut request = Request::default();
        if let Some(workers) = around.workers {
            request.claim(workers, Claim::Shared);
        }
        for host in 0..resources.hosts.len() {
            request.claim(Resource::Host(host), Claim::Exclusive);
        }
        for guest in 0..resources.guests.len() {
            request.claim(Resource::Guest(guest), Claim::Exclusive);
        }
        let _alone = tokio::select! {
            biased;
            held = self.shared.claims.acquire(request) => held,
            reason = around.stop.stopped() => return Err(reason.before()),
        };
        let Prepared { resources, failure } =
            self.preparation.again(&resources, &around.stop).await;
        self.shared.set_resources(resources);
        self.set_unprepared(failure.as_deref().map(Reason::from));
        failure.map_or(Ok(()), Err)
    }
}
