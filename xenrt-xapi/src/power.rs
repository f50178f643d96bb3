//! The power verbs of a guest: two calls of `xe` in one remote command each.

use std::time::Duration;

use tokio::time::Instant;
use xenrt_core::model::{
    Ability, Difference, Guest, GuestAction, Host as _, PowerState, differences_from,
};
use xenrt_core::remote::{Wait, wait_until};
use xenrt_core::{Error, Result, ToolstackErrorKind};

use crate::guest::XapiGuest;
use crate::requests::Seen;

/// How long xapi is left to tell of an event before it is looked at again: it does not notice that
/// what is waited for cannot come any more.
const EVENT: Duration = Duration::from_secs(20);

impl XapiGuest {
    /// Asks for `action`, waits for `goal`, and notes what the guest is now. xapi itself refuses
    /// what the power state does not allow, so that it need not be asked for the state before.
    pub(crate) async fn change(
        &self,
        action: &GuestAction,
        goal: PowerState,
        deadline: Duration,
    ) -> Result<()> {
        let seen = match self.ask(action, true).await {
            Ok(seen) => seen,
            Err(error) if error.toolstack_kind() != Some(ToolstackErrorKind::BadState) => {
                return Err(error);
            }
            Err(error) => {
                // What xapi refuses for the state is told as every toolstack tells it.
                action.require_allowed_from(self.power_state().await?, &self.name())?;
                return Err(error);
            }
        };
        self.follow_until(goal, deadline, seen).await?;
        let reachable_later = matches!(
            action,
            GuestAction::Pause | GuestAction::Suspend | GuestAction::Unpause | GuestAction::Resume
        );
        self.expectation().update(|expected| {
            expected.power = goal;
            expected.reachable &= reachable_later;
        });
        Ok(())
    }

    /// Waits for a power state by following xapi's events: one call where it is so already, none
    /// where `first` showed that, two more each time that it is not.
    pub(crate) async fn follow_until(
        &self,
        goal: PowerState,
        deadline: Duration,
        mut first: Option<Seen>,
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            let (seen, _) = match first.take() {
                Some(seen) => self.noted(seen).await?,
                None => self.look("look at").await?,
            };
            if seen == goal {
                return Ok(());
            }
            if seen == PowerState::Crashed && goal == PowerState::Running {
                return Err(self.has_stopped(seen, "to be Running"));
            }
            let left = deadline.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout {
                    waiting_for: format!("guest {} to be {goal}", self.name()),
                    waited: started.elapsed(),
                    last_seen: seen.to_string(),
                });
            }
            let wanted = goal.to_string().to_lowercase();
            let fields = [("power-state", wanted.as_str())];
            let xe = self.xapi_host().xe();
            let event = xe.wait_for_event("vm", self.shared.uuid, &fields, left.min(EVENT));
            event.await.map_err(self.during("wait for"))?;
        }
    }

    /// The error for a guest that stopped.
    pub(crate) fn has_stopped(&self, state: PowerState, doing: &'static str) -> Error {
        let console = "(xapi does not record it)".to_owned();
        Error::GuestStopped { guest: self.name(), state, doing, console }
    }

    /// Ends it, and waits until the hypervisor has no domain of it.
    pub(crate) async fn end(
        &self,
        action: &GuestAction,
        goal: PowerState,
        deadline: Duration,
    ) -> Result<()> {
        self.change(action, goal, deadline).await?;
        let waiting_for = format!("the domain of guest {} to be gone", self.name());
        wait_until(waiting_for, || async {
            Ok(match self.domain().await? {
                None => Wait::Done(()),
                Some(domain) => {
                    Wait::NotYet(format!("domain {} is {}", domain.domid, domain.power))
                }
            })
        })
        .within(self.deadlines().state)
        .await
    }

    /// Continues a suspended guest.
    pub(crate) async fn wake(&self) -> Result<()> {
        self.xapi_host().require(Ability::Suspend)?;
        let deadline = self.deadlines().suspend;
        self.change(&GuestAction::Resume, PowerState::Running, deadline).await?;
        if self.expectation().get().reachable { self.wait_until_reachable().await } else { Ok(()) }
    }

    /// What is not as it should be, in all views.
    pub(crate) async fn compare(&self) -> Result<Vec<Difference>> {
        let host = self.xapi_host();
        // Where the hypervisor is asked itself, nobody waits for the other.
        let (view, domain) = if host.shared.has_xl {
            let (observed, domain) = tokio::join!(self.observe(), self.own_domain(&host));
            (observed?.1, domain?)
        } else {
            let (vm, view) = self.observe().await?;
            (view, vm.domain())
        };
        differences_from(self, &view, domain.as_ref()).await
    }
}
