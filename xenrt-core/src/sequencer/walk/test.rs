//! One test: whether it runs, on what, how often, and what its verdict is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::block::another;
use super::{Around, Ended, NOT_YET, Reason, Tally, Walk, Walked};
use crate::model::Host;
use crate::seconds::micros;
use crate::sequence::{Claim, HostChoice};
use crate::sequencer::claims::{AnyHost, Request, Resource};
use crate::sequencer::life::{Attempt, live};
use crate::sequencer::plan::{HostsFound, PlannedCase, hosts_from, named_guest, reason_to_skip};
use crate::sequencer::{EventKind, Resources, TestIndex};
use crate::testcase::{Marks, Outcome, OutcomeKind};

impl Walk {
    /// Runs a test with all its rounds and attempts, and tells its end unless a block around it is
    /// repeated.
    pub(super) async fn test(
        &self,
        index: TestIndex,
        around: &Around,
        blocked: Option<Reason>,
    ) -> Walked {
        if let Some((outcome, _)) = self.shared.ended.get(&index) {
            // It ended before the run was interrupted: what follows from that follows now too.
            return Walked { ran: false, ..self.follows(index, outcome.kind()) };
        }
        self.shared.events.room().await;
        let case = &self.shared.cases[index.0 as usize];
        let not_run = self.reason_not_to_run(case, around, blocked.as_deref());
        let (ended, ran) = match not_run {
            Some(outcome) => {
                let ended = Ended::at_once(outcome);
                if around.repeated {
                    self.tallies().entry(index).or_default().add(ended.clone());
                }
                (ended, false)
            }
            None if case.rounds.is_once() && !around.repeated => {
                self.attempts(index, around, 1, false).await
            }
            None => self.rounds(index, around).await,
        };
        let walked = self.follows(index, ended.outcome.kind());
        if !around.repeated {
            self.finished(index, ended);
        }
        Walked { ran, ..walked }
    }

    /// What follows from how a test, or a round of it, ended.
    fn follows(&self, index: TestIndex, kind: OutcomeKind) -> Walked {
        self.last[index.0 as usize].store(kind as u8, Ordering::Release);
        self.awaited.ended(index);
        let how = match kind {
            OutcomeKind::Failed => Some("failed"),
            OutcomeKind::Errored => Some("errored"),
            OutcomeKind::Passed | OutcomeKind::Skipped | OutcomeKind::Blocked => None,
        };
        if how.is_some() {
            self.went_wrong.store(true, Ordering::Relaxed);
        }
        let case = &self.shared.cases[index.0 as usize];
        let blocks = how.filter(|_| case.blocker);
        let blocks = blocks.map(|how| format!("{} {how}", case.planned.label()).into());
        Walked { blocked: None, blocks, ran: false }
    }

    /// Runs the rounds of a test. In a block that is repeated they are counted on from one round of
    /// the block to the next.
    async fn rounds(&self, index: TestIndex, around: &Around) -> (Ended, bool) {
        let rounds = self.shared.cases[index.0 as usize].rounds;
        let began = Instant::now();
        let mut own = Tally::default();
        let mut ran = false;
        for turn in 1.. {
            let round = match around.repeated {
                true => self.tallies().entry(index).or_default().next_round(),
                false => own.next_round(),
            };
            let (ended, has_run) = self.attempts(index, around, round, true).await;
            ran |= has_run;
            let goes_on = has_run && ended.outcome.kind() != OutcomeKind::Blocked;
            if around.repeated {
                self.tallies().entry(index).or_default().add(ended.clone());
            }
            own.add(ended);
            if !goes_on || !another(rounds, turn, began) || around.stop.reason().is_some() {
                break;
            }
        }
        let nothing = || Ended::at_once(Outcome::Blocked { by: "no round began".to_owned() });
        (own.verdict().unwrap_or_else(nothing), ran)
    }

    /// Runs a test once, and again as often as it may be retried. Whether it began at all is told
    /// too.
    async fn attempts(
        &self,
        index: TestIndex,
        around: &Around,
        round: u32,
        one_of_many: bool,
    ) -> (Ended, bool) {
        let case = &self.shared.cases[index.0 as usize];
        let resources = self.shared.resources();
        let (request, mut hosts) = claims_of(case, &resources, around.workers);
        let claims = &self.shared.claims;
        let acquired = tokio::select! {
            biased;
            held = claims.acquire(request) => held,
            reason = around.stop.stopped() => {
                return (Ended::at_once(Outcome::Blocked { by: reason.before() }), false);
            }
        };
        hosts.extend(acquired.chosen_hosts());
        let held = Arc::new(acquired);
        // The preparation may have been done again while the test waited.
        let resources = self.shared.resources();
        let names = || hosts.iter().map(|at| resources.hosts[*at].names[0].clone()).collect();
        let lane = self.lanes.take();
        let retries = case.retries.unwrap_or(self.limits.retries);
        let mut all = Marks::default();
        let mut time = std::time::Duration::ZERO;
        for attempt in 1.. {
            self.shared.events.send(
                Some(index),
                EventKind::TestStarted { attempt, round, lane: lane.number, hosts: names() },
            );
            let ended = live(
                &self.shared,
                index,
                Attempt {
                    attempt,
                    round,
                    hosts: hosts.clone().into(),
                    held: Arc::clone(&held),
                    stop: around.stop.clone(),
                    resources: Arc::clone(&resources),
                },
            )
            .await;
            time += ended.time;
            let kind = ended.outcome.kind();
            let bad = matches!(kind, OutcomeKind::Failed | OutcomeKind::Errored);
            let again = bad && attempt <= retries && around.stop.reason().is_none();
            if one_of_many || again || attempt > 1 {
                let outcome = ended.outcome.clone();
                let seconds = micros(ended.time);
                let what = EventKind::AttemptFinished { attempt, round, outcome, seconds };
                self.shared.events.send(Some(index), what);
            }
            all.leaked.extend(ended.marks.leaked);
            if !again {
                all.flaky = attempt > 1 && kind == OutcomeKind::Passed;
                held.release();
                return (Ended { outcome: ended.outcome, marks: all, time }, true);
            }
        }
        // `u32::MAX` attempts take longer than anybody waits.
        (Ended::at_once(Outcome::Blocked { by: "it was tried too often".to_owned() }), true)
    }

    /// Why a test does not even begin, if it does not.
    fn reason_not_to_run(
        &self,
        case: &PlannedCase,
        around: &Around,
        blocked: Option<&str>,
    ) -> Option<Outcome> {
        if let Some(by) = blocked {
            return Some(Outcome::Blocked { by: by.to_owned() });
        }
        if let Some(reason) = around.stop.reason() {
            return Some(Outcome::Blocked { by: reason.before() });
        }
        let resources = self.shared.resources();
        if let Some(reason) = self.unprepared().filter(|_| self.misses(case, &resources)) {
            return Some(Outcome::Blocked { by: reason.to_string() });
        }
        let found = HostsFound {
            count: resources.own,
            position: &|name| resources.host(name).ok(),
            lacks: &|at, case| {
                let host: &dyn Host = resources.hosts[at].host.as_ref();
                let error = case.abilities().find_map(|ability| host.require(ability).err())?;
                Some(format!("host {}: {error}", host.name()))
            },
        };
        if let Some(reason) = reason_to_skip(case, &found) {
            return Some(Outcome::Skipped { reason });
        }
        let reason = case.depends.iter().find_map(|depends| self.not_passed(*depends))?;
        Some(Outcome::Skipped { reason })
    }

    /// Whether the preparation failed before it made what the test is meant for.
    fn misses(&self, case: &PlannedCase, resources: &Resources) -> bool {
        let host = match &case.host {
            Some(HostChoice::Named(name)) => resources.host(name).is_err(),
            Some(HostChoice::Any) | None => {
                resources.own < case.descriptor.requires.hosts.min(self.preparation.hosts())
            }
        };
        let guest = named_guest(case).is_some_and(|name| {
            self.preparation.makes_guest(&name) && resources.guest(&name).is_err()
        });
        host || guest
    }

    /// Why a test that depends on this one is skipped, if it is.
    fn not_passed(&self, index: TestIndex) -> Option<String> {
        let kind = self.last[index.0 as usize].load(Ordering::Acquire);
        let how = match kind {
            NOT_YET => "has not ended",
            kind if kind == OutcomeKind::Passed as u8 => return None,
            kind if kind == OutcomeKind::Skipped as u8 => "was skipped",
            kind if kind == OutcomeKind::Blocked as u8 => "was blocked",
            kind if kind == OutcomeKind::Errored as u8 => "errored",
            _ => "failed",
        };
        let label = self.shared.cases[index.0 as usize].planned.label();
        Some(format!("it depends on {label}, which {how}"))
    }
}

/// What a test claims, and its hosts as far as they are known before, the default host first.
fn claims_of(
    case: &PlannedCase,
    resources: &Resources,
    workers: Option<Resource>,
) -> (Request, Vec<usize>) {
    let mut request = Request::default();
    let count = resources.own;
    let claims = case.descriptor.claims;
    let host_claim = case.claim.unwrap_or(claims.host);
    let mut guest = named_guest(case).and_then(|name| resources.guest(&name).ok());
    if guest.is_none() && case.guest.is_none() && claims.guest.is_some() {
        guest = (!resources.guests.is_empty()).then_some(0);
    }
    // A host that other runs use too is no test's host.
    let guest_host = guest.map(|guest| resources.guests[guest].host).filter(|host| *host < count);
    let needed = case.descriptor.requires.hosts;
    let mut hosts = Vec::new();
    let first = match &case.host {
        // A name that there is not is the error of the test, when it asks for its host.
        Some(HostChoice::Named(name)) => resources.host(name).ok(),
        Some(HostChoice::Any) if guest_host.is_none() => None,
        Some(HostChoice::Any) | None => guest_host.or((count > 0).then_some(0)),
    };
    match (first, &case.host) {
        (Some(first), _) => hosts.extend(hosts_from(first, needed, count)),
        (None, Some(HostChoice::Any)) if count > 0 => {
            let able = |at: &usize| {
                let host = &resources.hosts[*at].host;
                case.abilities().all(|ability| host.require(ability).is_ok())
            };
            request.any_host = Some(AnyHost {
                candidates: (0..count).filter(able).collect(),
                count: needed.max(1),
                claim: host_claim,
            });
        }
        (None, _) => {}
    }
    hosts.iter().for_each(|host| request.claim(Resource::Host(*host), host_claim));
    if let Some(guest) = guest {
        let claim = claims.guest.unwrap_or(Claim::Exclusive);
        request.claim(Resource::Guest(guest), claim);
        request.claim(Resource::Host(resources.guests[guest].host), host_claim);
    }
    if let Some(semaphore) = case.semaphore {
        request.claim(Resource::Semaphore(semaphore), Claim::Shared);
    }
    if let Some(workers) = workers {
        request.claim(workers, Claim::Shared);
    }
    (request, hosts)
}
