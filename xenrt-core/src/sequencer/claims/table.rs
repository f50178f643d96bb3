//! What is taken, and who is next.

use std::collections::{HashMap, VecDeque};

use crate::sequence::Claim;

/// Something that tests claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Resource {
    /// A host of the run, by number.
    Host(usize),
    /// A guest of the preparation, by number.
    Guest(usize),
    /// A semaphore of the sequence, by number.
    Semaphore(u32),
    /// The workers of a parallel block that runs.
    Workers(u64),
}

/// What a test claims.
#[derive(Debug, Clone, Default)]
pub(in crate::sequencer) struct Request {
    pub(in crate::sequencer) fixed: Vec<(Resource, Claim)>,
    pub(in crate::sequencer) any_host: Option<AnyHost>,
}

/// Some of these hosts.
#[derive(Debug, Clone)]
pub(in crate::sequencer) struct AnyHost {
    pub(in crate::sequencer) candidates: Vec<usize>,
    pub(in crate::sequencer) count: usize,
    pub(in crate::sequencer) claim: Claim,
}

impl Request {
    /// Adds a claim; of two for the same thing the exclusive one counts.
    pub(in crate::sequencer) fn claim(&mut self, resource: Resource, claim: Claim) {
        match self.fixed.iter_mut().find(|(own, _)| *own == resource) {
            Some((_, own)) => *own = (*own).max(claim),
            None => self.fixed.push((resource, claim)),
        }
    }

    /// All that it may take.
    fn resources(&self) -> impl Iterator<Item = Resource> + '_ {
        let any = self.any_host.iter().flat_map(|any| &any.candidates);
        let fixed = self.fixed.iter().map(|(resource, _)| *resource);
        fixed.chain(any.map(|host| Resource::Host(*host)))
    }
}

/// What was given to a request: all its claims, and the hosts that were chosen for it.
#[derive(Debug, Default)]
pub(super) struct Grant {
    pub(super) taken: Vec<(Resource, Claim)>,
    pub(super) chosen_hosts: Vec<usize>,
}

/// So often may those who wait be overtaken by somebody who takes something that they claim.
pub(super) const OVERTAKEN_AT_MOST: u32 = 8;
/// Of those who wait, so many are looked at when something becomes free.
const LOOKED_AT: usize = 256;

#[derive(Debug)]
pub(super) struct Table<T> {
    /// What is taken of each thing that is not free.
    taken: HashMap<Resource, Taken>,
    /// How many can share what has a limit.
    limits: HashMap<Resource, usize>,
    waiting: VecDeque<Waiting<T>>,
    next_id: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    shared: usize,
    exclusive: bool,
}

#[derive(Debug)]
struct Waiting<T> {
    id: u64,
    request: Request,
    overtaken: u32,
    who: T,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { taken: HashMap::new(), limits: HashMap::new(), waiting: VecDeque::new(), next_id: 0 }
    }
}

impl<T> Table<T> {
    /// Lets no more than `limit` share `resource`.
    pub(super) fn limit(&mut self, resource: Resource, limit: usize) {
        self.limits.insert(resource, limit.max(1));
    }

    /// Forgets a limit; nobody claims `resource` any more.
    pub(super) fn forget(&mut self, resource: Resource) {
        self.limits.remove(&resource);
    }

    /// Takes all of it now, if nobody waits and it is free.
    pub(super) fn take_now(&mut self, request: &Request) -> Option<Grant> {
        if !self.waiting.is_empty() {
            return None;
        }
        let grant = self.choose(request, &[])?;
        self.take(&grant);
        Some(grant)
    }

    /// Takes one thing now, whoever waits for it.
    pub(super) fn take_late(&mut self, resource: Resource, claim: Claim) -> bool {
        let free = self.is_free(resource, claim);
        if free {
            self.take(&Grant { taken: vec![(resource, claim)], chosen_hosts: Vec::new() });
        }
        free
    }

    /// Waits for it. Returns the number to [give up](Self::give_up) by, and who got what now.
    pub(super) fn wait(&mut self, request: Request, who: T) -> (u64, Vec<(T, Grant)>) {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back(Waiting { id, request, overtaken: 0, who });
        // Those who come late are not looked at before others are through.
        let granted = if self.waiting.len() <= LOOKED_AT { self.grant() } else { Vec::new() };
        (id, granted)
    }

    /// Waits no longer. What was kept for it is others' now.
    pub(super) fn give_up(&mut self, id: u64) -> Vec<(T, Grant)> {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) else {
            return Vec::new();
        };
        self.waiting.remove(at);
        self.grant()
    }

    /// Gives back.
    pub(super) fn release(&mut self, taken: &[(Resource, Claim)]) -> Vec<(T, Grant)> {
        for (resource, claim) in taken {
            let Some(state) = self.taken.get_mut(resource) else { continue };
            match claim {
                Claim::Shared => state.shared = state.shared.saturating_sub(1),
                Claim::Exclusive => state.exclusive = false,
            }
            if state.shared == 0 && !state.exclusive {
                self.taken.remove(resource);
            }
        }
        if self.waiting.is_empty() { Vec::new() } else { self.grant() }
    }

    /// Gives what is free to those who wait, the first first.
    fn grant(&mut self) -> Vec<(T, Grant)> {
        let mut granted = Vec::new();
        let mut kept: Vec<Resource> = Vec::new();
        let mut at = 0;
        while at < self.waiting.len().min(LOOKED_AT) {
            let Some(grant) = self.choose(&self.waiting[at].request, &kept) else {
                if self.waiting[at].overtaken >= OVERTAKEN_AT_MOST {
                    // Workers are not kept: they come free one at a time and in turn, and one
                    // that stands idle would keep those from working who could.
                    let resources = self.waiting[at].request.resources();
                    kept.extend(resources.filter(|own| !matches!(own, Resource::Workers(_))));
                }
                at += 1;
                continue;
            };
            self.take(&grant);
            for earlier in self.waiting.iter_mut().take(at) {
                let overtaken = earlier.request.resources().any(|own| {
                    !matches!(own, Resource::Workers(_))
                        && grant.taken.iter().any(|(taken, _)| *taken == own)
                });
                earlier.overtaken += u32::from(overtaken);
            }
            if let Some(waiting) = self.waiting.remove(at) {
                granted.push((waiting.who, grant));
            }
        }
        granted
    }

    /// What a request would be given now, without what is kept for others.
    fn choose(&self, request: &Request, kept: &[Resource]) -> Option<Grant> {
        let free = |resource, claim| !kept.contains(&resource) && self.is_free(resource, claim);
        if !request.fixed.iter().all(|(resource, claim)| free(*resource, *claim)) {
            return None;
        }
        let mut grant = Grant { taken: request.fixed.clone(), chosen_hosts: Vec::new() };
        if let Some(any) = &request.any_host {
            let mut hosts: Vec<usize> = any.candidates.clone();
            hosts.retain(|host| free(Resource::Host(*host), any.claim));
            // The one with the fewest tests at work first.
            hosts.sort_by_key(|host| {
                self.taken.get(&Resource::Host(*host)).map_or(0, |taken| taken.shared)
            });
            hosts.truncate(any.count);
            if hosts.len() < any.count {
                return None;
            }
            grant.taken.extend(hosts.iter().map(|host| (Resource::Host(*host), any.claim)));
            grant.chosen_hosts = hosts;
        }
        Some(grant)
    }

    fn is_free(&self, resource: Resource, claim: Claim) -> bool {
        let Some(taken) = self.taken.get(&resource) else { return true };
        let limit = self.limits.get(&resource).copied().unwrap_or(usize::MAX);
        match claim {
            Claim::Shared => !taken.exclusive && taken.shared < limit,
            Claim::Exclusive => !taken.exclusive && taken.shared == 0,
        }
    }

    fn take(&mut self, grant: &Grant) {
        for (resource, claim) in &grant.taken {
            let taken = self.taken.entry(*resource).or_default();
            match claim {
                Claim::Shared => taken.shared += 1,
                Claim::Exclusive => taken.exclusive = true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn hosts(claims: &[(usize, Claim)]) -> Request {
        let mut request = Request::default();
        for (host, claim) in claims {
            request.claim(Resource::Host(*host), *claim);
        }
        request
    }

    fn any_host(count: usize, claim: Claim, candidates: &[usize]) -> Request {
        let candidates = candidates.to_vec();
        Request { any_host: Some(AnyHost { candidates, count, claim }), ..Request::default() }
    }

    use Claim::{Exclusive, Shared};

    #[test]
    fn shared_goes_beside_shared_and_exclusive_beside_nobody() {
        let mut table = Table::<&str>::default();
        let first = table.take_now(&hosts(&[(0, Shared)])).unwrap();
        assert!(table.take_now(&hosts(&[(0, Shared)])).is_some());
        assert!(table.take_now(&hosts(&[(0, Exclusive)])).is_none());
        assert!(table.take_now(&hosts(&[(1, Exclusive), (1, Shared)])).is_some());
        assert!(table.take_now(&hosts(&[(1, Shared)])).is_none());
        assert!(!table.take_late(Resource::Host(0), Exclusive));
        let (_, granted) = table.wait(hosts(&[(0, Exclusive)]), "alone");
        assert!(granted.is_empty());
        assert!(table.release(&first.taken).is_empty());
        let granted = table.release(&first.taken);
        assert_eq!(granted[0].0, "alone");
    }

    #[test]
    fn any_host_is_the_one_that_is_least_used() {
        let mut table = Table::<()>::default();
        table.take_now(&hosts(&[(0, Shared)])).unwrap();
        assert_eq!(table.take_now(&any_host(1, Shared, &[0, 1])).unwrap().chosen_hosts, [1]);
        assert_eq!(table.take_now(&any_host(1, Exclusive, &[0, 1, 2])).unwrap().chosen_hosts, [2]);
        assert!(table.take_now(&any_host(1, Exclusive, &[0, 1, 2])).is_none());
        assert_eq!(table.take_now(&any_host(2, Shared, &[0, 1, 2])).unwrap().chosen_hosts, [0, 1]);
    }

    #[test]
    fn whoever_waits_for_two_hosts_is_not_overtaken_for_ever() {
        let mut table = Table::<usize>::default();
        let mut held = table.take_now(&hosts(&[(0, Exclusive)])).unwrap().taken;
        assert!(table.wait(hosts(&[(0, Exclusive), (1, Exclusive)]), 999).1.is_empty());
        let mut overtakers = 0;
        for number in 0..100 {
            // There is always another one for one of the two.
            let (_, granted) = table.wait(hosts(&[(1, Shared)]), number);
            let Some((_, grant)) = granted.into_iter().next() else { break };
            overtakers += 1;
            let (_, waits) = table.wait(hosts(&[(0, Exclusive)]), 1000 + number);
            assert!(waits.is_empty());
            let next = table.release(&held);
            held = next.into_iter().next().unwrap().1.taken;
            table.release(&grant.taken);
        }
        assert!(overtakers <= OVERTAKEN_AT_MOST as usize, "{overtakers}");
        let granted = table.release(&held);
        assert_eq!(granted[0].0, 999);
    }

    #[test]
    fn a_limit_is_kept_and_what_gave_up_is_forgotten() {
        let mut table = Table::<&str>::default();
        table.limit(Resource::Semaphore(0), 2);
        let mut request = Request::default();
        request.claim(Resource::Semaphore(0), Shared);
        let first = table.take_now(&request).unwrap();
        table.take_now(&request).unwrap();
        let (gone, _) = table.wait(request.clone(), "gone");
        table.wait(request, "next");
        table.give_up(gone);
        assert_eq!(table.release(&first.taken)[0].0, "next");
    }

    proptest! {
        /// Whatever is asked for and given back in whatever order: never two whose claims do not go
        /// together, and at the end everybody got everything.
        #[test]
        fn nobody_is_in_anybodys_way_and_everybody_comes_through(
            requests in proptest::collection::vec(
                (proptest::collection::vec((0_usize..3, any::<bool>()), 0..3), 0_usize..3, any::<bool>()),
                1..60,
            ),
            ends in proptest::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let claim = |exclusive: bool| if exclusive { Exclusive } else { Shared };
            let mut table = Table::<usize>::default();
            let mut running: BTreeMap<usize, Grant> = BTreeMap::new();
            let mut done = 0;
            let count = requests.len();
            let mut ends = ends.into_iter().cycle();
            for (number, (fixed, any, exclusive)) in requests.into_iter().enumerate() {
                let mut request = Request::default();
                for (resource, alone) in fixed {
                    request.claim(Resource::Guest(resource), claim(alone));
                }
                if any > 0 {
                    request.any_host = Some(AnyHost {
                        candidates: vec![0, 1, 2],
                        count: any,
                        claim: claim(exclusive),
                    });
                }
                running.extend(table.wait(request, number).1);
                check(&running)?;
                if number % 3 == 2 && !running.is_empty() {
                    let end = *ends.next().unwrap().get(&running.keys().copied().collect::<Vec<_>>());
                    let grant = running.remove(&end).unwrap();
                    running.extend(table.release(&grant.taken));
                    done += 1;
                    check(&running)?;
                }
            }
            while !running.is_empty() {
                let end = *ends.next().unwrap().get(&running.keys().copied().collect::<Vec<_>>());
                let grant = running.remove(&end).unwrap();
                running.extend(table.release(&grant.taken));
                done += 1;
                check(&running)?;
            }
            prop_assert_eq!(done, count);
            prop_assert!(table.taken.is_empty() && table.waiting.is_empty());
        }
    }

    fn check(running: &BTreeMap<usize, Grant>) -> Result<(), TestCaseError> {
        let mut users: BTreeMap<Resource, Vec<Claim>> = BTreeMap::new();
        for (resource, claim) in running.values().flat_map(|grant| &grant.taken) {
            users.entry(*resource).or_default().push(*claim);
        }
        for (resource, claims) in users {
            prop_assert!(
                claims.len() == 1 || !claims.contains(&Exclusive),
                "{resource:?}: {claims:?}"
            );
        }
        Ok(())
    }
}
