//! Running the checks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _};
use tokio::time::{Instant, timeout};

use super::check::{Check, Cost, checks};
use super::context::CheckContext;
use super::fixture::Fixture;
use super::problem::Problem;
use super::profile::{CheckResult, Profile, Verdict};
use crate::model::{Ability, Host, HostInventory, Scope};
use crate::seconds::Readable;
use crate::seconds::micros;
use crate::sequencer::CancelHandle;

/// Who is told of each result as it comes.
type Told = Arc<dyn Fn(&CheckResult) + Send + Sync>;

/// The checks that are to be run on a host. Build it, then [`run`](Self::run) it.
#[derive(Clone)]
#[must_use = "nothing runs until `run` is awaited"]
pub struct Suite {
    host: Arc<dyn Host>,
    second: Option<Arc<dyn Host>>,
    image: Option<String>,
    filters: Vec<String>,
    dearest: Cost,
    at_once: usize,
    names: String,
    told: Option<Told>,
    cancel: CancelHandle,
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Suite {
    /// All checks on this host, one after the other, with guests of the first image of its
    /// catalogue.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            second: None,
            image: None,
            filters: Vec::new(),
            dearest: Cost::Slow,
            at_once: 1,
            names: "xrtc".to_owned(),
            told: None,
            cancel: CancelHandle::new(),
        }
    }

    /// A second host of the same toolstack, for checks that move guests.
    pub fn second_host(mut self, host: Arc<dyn Host>) -> Self {
        self.second = Some(host);
        self
    }

    /// The image that guests are made from.
    pub fn image(mut self, image: impl Into<String>) -> Self {
        self.image = Some(image.into());
        self
    }

    /// Only checks with this text in their name; more filters let more checks in.
    pub fn filter(mut self, text: impl Into<String>) -> Self {
        self.filters.push(text.into());
        self
    }

    /// Only checks that cost no more than this.
    pub fn cost_at_most(mut self, cost: Cost) -> Self {
        self.dearest = cost;
        self
    }

    /// So many checks at once; one unless set. With more, those that look at the whole host come
    /// last, one by one, and what another check leaves is told when all have ended.
    pub fn at_once(mut self, checks: usize) -> Self {
        self.at_once = checks.max(1);
        self
    }

    /// What the names of all guests, files and networks begin with; `xrtc` unless set.
    pub fn names(mut self, prefix: impl Into<String>) -> Self {
        self.names = prefix.into();
        self
    }

    /// Calls `told` with each result as it comes.
    pub fn on_result(mut self, told: impl Fn(&CheckResult) + Send + Sync + 'static) -> Self {
        self.told = Some(Arc::new(told));
        self
    }

    /// Ends when this is cancelled: the check that is being run is interrupted, what it made is
    /// removed, and those that were to follow are Errored for that reason.
    pub fn cancelled_by(mut self, cancel: CancelHandle) -> Self {
        self.cancel = cancel;
        self
    }

    /// The checks that will be run.
    pub fn chosen(&self) -> Vec<&'static Check> {
        let wanted = |check: &&Check| {
            check.cost <= self.dearest
                && (self.filters.is_empty()
                    || self.filters.iter().any(|text| check.name.contains(text)))
        };
        checks().filter(wanted).collect()
    }

    /// Runs the checks. Never fails as a whole: what went wrong is in the profile.
    pub async fn run(self) -> Profile {
        let chosen = self.chosen();
        let before = self.host.inventory().await;
        let (alone, beside): (Vec<&Check>, Vec<&Check>) =
            chosen.iter().copied().partition(|check| self.at_once > 1 && check.alone);
        // One worker a share of the checks, so that neighbours share a guest.
        let share = beside.len().div_ceil(self.at_once).max(1);
        let workers = beside.chunks(share).enumerate().map(|(number, checks)| {
            let suite = &self;
            async move { suite.work(number, checks).await }
        });
        let results: Vec<Vec<CheckResult>> =
            stream::iter(workers).buffered(self.at_once).collect().await;
        let mut results: Vec<CheckResult> = results.into_iter().flatten().collect();
        results.extend(self.work(self.at_once, &alone).await);
        let place = |result: &CheckResult| chosen.iter().position(|c| c.name == result.name);
        results.sort_by_key(place);
        let left = match (&before, self.host.inventory().await) {
            (Ok(before), Ok(after)) => after.added_since(before),
            (Err(error), _) => vec![format!("not known, the host could not be searched: {error}")],
            (_, Err(error)) => vec![format!("not known, the host could not be searched: {error}")],
        };
        let abilities = self.host.abilities();
        let absent = Ability::ALL.into_iter().filter(|ability| !abilities.has(*ability));
        Profile {
            toolstack: self.host.toolstack().to_owned(),
            host: self.host.name().to_owned(),
            info: self.host.info().await.ok(),
            abilities: abilities.iter().collect(),
            absent: absent.map(|a| (a, abilities.reason(a).map(str::to_owned))).collect(),
            checks: results,
            left,
        }
    }

    async fn work(&self, number: usize, checks: &[&'static Check]) -> Vec<CheckResult> {
        let mut fixture = Fixture::default();
        let mut stood = None;
        let mut results = Vec::new();
        for (at, check) in checks.iter().enumerate() {
            let names = format!("{}{number}-{at}", self.names);
            let started = Instant::now();
            let verdict = match self.cancel.reason() {
                Some(reason) => Verdict::Errored(format!("not begun: {reason}")),
                None => self.one(check, names, &mut fixture, &mut stood).await,
            };
            let result = CheckResult {
                name: check.name.to_owned(),
                proves: check.proves.to_owned(),
                cost: check.cost,
                verdict,
                seconds: micros(started.elapsed()),
            };
            if let Some(told) = &self.told {
                told(&result);
            }
            results.push(result);
        }
        if let Err(error) = fixture.discard().await
            && let Some(last) = results.last_mut()
            && last.verdict == Verdict::Passed
        {
            last.verdict = Verdict::Failed(error);
        }
        results
    }

    /// Why the host cannot be held against a check.
    fn absent(&self, check: &Check) -> Option<String> {
        let hosts = std::iter::once(&self.host).chain(self.second.iter().take(check.hosts - 1));
        let mut needs = hosts.flat_map(|host| check.needs.iter().map(move |need| (host, need)));
        let lacking = needs.find_map(|(host, need)| {
            let lacks = !host.abilities().has(*need);
            let reason = host.abilities().reason(*need).unwrap_or("no reason was given");
            lacks.then(|| format!("{need}: {reason}"))
        });
        // What the host lacks would be so with a second one too.
        let alone = check.hosts > 1 && self.second.is_none();
        lacking.or_else(|| alone.then(|| "no second host was given".to_owned()))
    }

    /// Holds the host against one check. `stood` is what stood on it after the check before, where
    /// that is known: to search a host takes long, and nobody works on it between two checks.
    async fn one(
        &self,
        check: &Check,
        names: String,
        fixture: &mut Fixture,
        stood: &mut Option<HostInventory>,
    ) -> Verdict {
        if let Some(reason) = self.absent(check) {
            return Verdict::AbilityAbsent(reason);
        }
        let image = match &self.image {
            Some(image) => image.clone(),
            None => match self.host.entry().images.first() {
                Some(image) => image.name.clone(),
                None => {
                    let problem =
                        "the host has no guest image; add one to its entry in the lab file";
                    return Verdict::Errored(problem.to_owned());
                }
            },
        };
        let alone = self.at_once == 1 || check.alone;
        // Beside others nothing can be told of what it left.
        let before = match stood.take().filter(|_| alone) {
            Some(stood) => Ok(stood),
            None if alone => self.stock().await,
            None => Ok(HostInventory::default()),
        };
        let scope = Scope::default();
        let cx = CheckContext {
            host: self.host.in_scope(scope.clone()),
            second: self.second.as_ref().map(|host| host.in_scope(scope.clone())),
            image,
            names,
            scope: scope.clone(),
            fixture: tokio::sync::Mutex::new(std::mem::take(fixture)),
        };
        let limit = check.cost.limit();
        let run = AssertUnwindSafe((check.run)(&cx)).catch_unwind();
        let ended = tokio::select! {
            ended = timeout(limit, run) => Some(ended),
            () = self.cancel.cancelled() => None,
        };
        let mut verdict = match ended {
            Some(Ok(Ok(Ok(())))) => Verdict::Passed,
            Some(Ok(Ok(Err(problem)))) => problem.into(),
            Some(Ok(Err(_))) => Verdict::Errored("the check panicked".to_owned()),
            Some(Err(_)) => Verdict::Failed(format!("it did not end within {}", Readable(limit))),
            None => Verdict::Errored("interrupted".to_owned()),
        };
        let mut wrong = undo_all(&scope).await;
        scope.forget_guests();
        *fixture = cx.fixture.into_inner();
        match (before, self.stock().await) {
            (Ok(before), Ok(after)) => {
                let passed = verdict == Verdict::Passed && wrong.is_empty();
                if alone {
                    let added = after.added_since(&before).into_iter();
                    let guest = |object: &str| object.strip_prefix("guest ").map(str::to_owned);
                    let left = added.filter(|object| {
                        !fixture.owns(object)
                            && !guest(object).is_some_and(|name| fixture.is_named(&name))
                    });
                    wrong.extend(left.map(|object| format!("it left {object}")));
                }
                wrong.extend(fixture.settle(passed, &after).await.err());
                // What went since has a name that no later check uses.
                *stood = Some(after);
            }
            (Err(error), _) | (_, Err(error)) => {
                wrong.push(format!("the host could not be searched: {error}"));
                wrong.extend(fixture.settle(false, &HostInventory::default()).await.err());
            }
        }
        if !wrong.is_empty() && !matches!(verdict, Verdict::Failed(_) | Verdict::Errored(_)) {
            verdict = Verdict::Failed(wrong.join("; "));
        }
        verdict
    }

    /// What stands on the hosts, guests that have no domain included.
    async fn stock(&self) -> crate::Result<HostInventory> {
        let stands = |number: usize, host: &Arc<dyn Host>| {
            let host = Arc::clone(host);
            async move {
                let place =
                    if number == 0 { String::new() } else { format!(" on {}", host.name()) };
                let (inventory, guests) = futures::try_join!(host.inventory(), host.guests())?;
                let guests = guests.iter().map(|guest| format!("guest {}", guest.name()));
                let all = inventory.objects.into_iter().chain(guests);
                Ok::<_, crate::Error>(all.map(|object| format!("{object}{place}")).collect())
            }
        };
        let hosts = std::iter::once(&self.host).chain(&self.second).enumerate();
        let all: Vec<Vec<String>> =
            futures::future::try_join_all(hosts.map(|(number, host)| stands(number, host))).await?;
        let objects = all.into_iter().flatten().collect();
        Ok(HostInventory { objects })
    }
}

impl From<Problem> for Verdict {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Failed(message) => Self::Failed(message),
            Problem::Absent { ability, reason } => {
                Self::AbilityAbsent(format!("{ability}: {reason}"))
            }
            Problem::Errored(message) => Self::Errored(message),
        }
    }
}

/// Undoes all that a check made, and says what could not be undone.
async fn undo_all(scope: &Scope) -> Vec<String> {
    let mut wrong = Vec::new();
    while let Some(undo) = scope.take_last() {
        let what = undo.description().to_owned();
        let deadline = undo.deadline();
        match timeout(deadline, undo.run()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => wrong.push(format!("could not {what}: {error}")),
            Err(_) => wrong.push(format!("could not {what} within {}", Readable(deadline))),
        }
    }
    wrong
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::sim::{Fault, SimCall, SimLab, SimTiming};

    async fn verdict_of(lab: SimLab, check: &str) -> Verdict {
        let profile = Suite::new(lab.host(0)).filter(check).run().await;
        assert_eq!(profile.checks.len(), 1, "{profile}");
        profile.checks[0].verdict.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_suite_that_is_cancelled_leaves_nothing_and_says_what_it_did_not_try() {
        let lab = SimLab::builder().timing(SimTiming::realistic()).build();
        let cancel = CancelHandle::new();
        let suite = Suite::new(lab.host(0)).filter("power.").cancelled_by(cancel.clone());
        let later = async {
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            cancel.cancel(crate::sequencer::CancelReason::CtrlC);
        };
        let (profile, ()) = tokio::join!(suite.run(), later);
        let verdicts: Vec<_> = profile.checks.iter().map(|check| check.verdict.message()).collect();
        assert_eq!(verdicts.first(), Some(&""), "{profile}");
        assert_eq!(verdicts.last(), Some(&"not begun: Ctrl-C"), "{profile}");
        assert_eq!(verdicts.iter().filter(|message| **message == "interrupted").count(), 1);
        assert!(!profile.conforms() && profile.left.is_empty(), "{profile}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_ability_that_is_absent_is_told_with_its_reason_and_never_passed() {
        let lab = SimLab::builder().without(Ability::Suspend, "no disk is large enough").build();
        let verdict = verdict_of(lab, "memory.suspend_keeps").await;
        let reason = "suspend: no disk is large enough".to_owned();
        assert_eq!(verdict, Verdict::AbilityAbsent(reason));
        let verdict = verdict_of(SimLab::new(), "migration.goes_on").await;
        assert_eq!(verdict, Verdict::AbilityAbsent("no second host was given".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_cannot_be_reached_is_an_error_and_no_failure() {
        let lab = SimLab::builder().timing(SimTiming::realistic()).build();
        lab.inject(Fault::lose_connection(std::time::Duration::from_secs(5)).call(SimCall::Define));
        let verdict = verdict_of(lab, "define.halted").await;
        assert!(
            matches!(&verdict, Verdict::Errored(why) if why.contains("connection")),
            "{verdict:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_toolstack_that_never_answers_is_ended_by_the_limit_of_the_check() {
        let lab = SimLab::new();
        lab.inject(Fault::hang_forever().verb("start paused").times(1));
        let verdict = verdict_of(lab, "power.start_paused_then").await;
        assert!(
            matches!(&verdict, Verdict::Failed(why) if why.contains("did not end")),
            "{verdict:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn several_at_once_give_the_same_verdicts_and_leave_nothing() {
        let lab = SimLab::builder().timing(SimTiming::realistic()).build();
        let names = |profile: &Profile| -> Vec<(String, Verdict)> {
            let checks = profile.checks.iter();
            checks.map(|check| (check.name.clone(), check.verdict.clone())).collect()
        };
        let suite = || Suite::new(lab.host(0)).second_host(lab.host(1));
        let one = suite().run().await;
        let four = suite().at_once(4).run().await;
        assert_eq!(names(&four), names(&one), "{four}");
        assert!(four.conforms(), "{four}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_profile_is_the_same_when_it_is_read_again_and_junit_has_every_check() {
        let lab = SimLab::builder().without(Ability::Suspend, "why <not>").build();
        lab.inject(Fault::refuse(crate::ToolstackErrorKind::Other).verb("start paused"));
        let profile =
            Suite::new(lab.host(0)).filter("memory.suspend").filter("power.off_p").run().await;
        let again: Profile = serde_json::from_str(&profile.to_json().unwrap()).unwrap();
        assert_eq!(again, profile);
        let junit = profile.to_junit().unwrap();
        for part in ["skipped=\"3\"", "failures=\"1\"", "why &lt;not>", "power.off_paused"] {
            assert!(junit.contains(part) || junit.contains(&part.replace('>', "&gt;")), "{junit}");
        }
        assert!(!profile.conforms());
        insta::assert_snapshot!(profile);
    }
}
