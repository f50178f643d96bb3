//! The faults of a lab, and which of them a call meets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::fault::{Effect, Fault, FaultId, SimCall};
use super::world::draw;

/// One call, as faults look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) call: SimCall,
    pub(super) host: &'a str,
    pub(super) guest: Option<&'a str>,
    pub(super) verb: Option<&'a str>,
    pub(super) command: Option<&'a str>,
}

impl Fault {
    fn fits(&self, asked: &Asked<'_>) -> bool {
        self.host.as_deref().is_none_or(|host| host == asked.host)
            && self.guest.as_deref().is_none_or(|guest| Some(guest) == asked.guest)
            && (self.calls.is_empty() || self.calls.contains(&asked.call))
            && self.verb.as_deref().is_none_or(|verb| Some(verb) == asked.verb)
            && self
                .command
                .as_deref()
                .is_none_or(|text| asked.command.is_some_and(|command| command.contains(text)))
    }
}

#[derive(Debug)]
struct Rule {
    id: u64,
    fault: Fault,
    seen: u64,
    hits: u64,
    /// Calls drawn for so far, by host and guest: a draw must not depend on who else was first.
    draws: HashMap<(String, String), u64>,
}

/// All faults of a lab.
#[derive(Debug, Default)]
pub(super) struct Faults {
    any: AtomicBool,
    rules: Mutex<Vec<Rule>>,
    lifted: Mutex<HashMap<u64, u64>>,
}

impl Faults {
    pub(super) fn inject(&self, fault: Fault) -> FaultId {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let lifted = self.lifted.lock().unwrap_or_else(PoisonError::into_inner);
        let used = rules.iter().map(|rule| rule.id).chain(lifted.keys().copied()).max();
        let id = used.map_or(0, |last| last + 1);
        rules.push(Rule { id, fault, seen: 0, hits: 0, draws: HashMap::new() });
        self.any.store(true, Ordering::Release);
        FaultId(id)
    }

    pub(super) fn lift(&self, FaultId(id): FaultId) {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lifted = self.lifted.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|rule| {
            if rule.id == id {
                lifted.insert(id, rule.hits);
            }
            rule.id != id
        });
        self.any.store(!rules.is_empty(), Ordering::Release);
    }

    pub(super) fn hits(&self, FaultId(id): FaultId) -> u64 {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let lifted = self.lifted.lock().unwrap_or_else(PoisonError::into_inner);
        let living = rules.iter().find(|rule| rule.id == id).map(|rule| rule.hits);
        living.or_else(|| lifted.get(&id).copied()).unwrap_or(0)
    }

    /// What a call meets, in the order of injection.
    pub(super) fn meet(&self, seed: u64, asked: &Asked<'_>) -> Vec<Effect> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let mut effects = Vec::new();
        for rule in rules.iter_mut().filter(|rule| rule.fault.fits(asked)) {
            rule.seen += 1;
            if rule.seen < rule.fault.first
                || rule.fault.times.is_some_and(|most| rule.hits >= most)
            {
                continue;
            }
            if let Some(chance) = rule.fault.chance {
                let guest = asked.guest.unwrap_or_default();
                let count =
                    rule.draws.entry((asked.host.to_owned(), guest.to_owned())).or_default();
                *count += 1;
                let words = [asked.host, guest, asked.verb.unwrap_or_default()];
                let drawn = draw(seed, &words, rule.id << 32 ^ *count);
                // 53 bits are what a float holds.
                if (drawn >> 11) as f64 / (1_u64 << 53) as f64 >= chance {
                    continue;
                }
            }
            rule.hits += 1;
            effects.push(rule.fault.effect.clone());
        }
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ToolstackErrorKind;

    fn asked<'a>(host: &'a str, guest: &'a str, verb: &'a str) -> Asked<'a> {
        let (guest, verb) = (Some(guest), Some(verb));
        Asked { call: SimCall::Request, host, guest, verb, command: None }
    }

    #[test]
    fn a_fault_strikes_where_and_when_it_is_told_to() {
        let faults = Faults::default();
        let refuse = Fault::refuse(ToolstackErrorKind::Other);
        let id = faults.inject(refuse.host("a").guest("g").verb("start").nth(2));
        let meet = |host, guest, verb| faults.meet(1, &asked(host, guest, verb)).len();
        assert_eq!(
            [meet("b", "g", "start"), meet("a", "h", "start"), meet("a", "g", "pause")],
            [0; 3]
        );
        let times: Vec<usize> = (0..4).map(|_| meet("a", "g", "start")).collect();
        assert_eq!(times, [0, 1, 0, 0]);
        faults.lift(id);
        assert_eq!((faults.hits(id), meet("a", "g", "start")), (1, 0));
    }

    #[test]
    fn chance_follows_the_seed_and_not_the_order_of_hosts() {
        let drawn = |seed, hosts: &[&str]| -> Vec<usize> {
            let faults = Faults::default();
            faults.inject(Fault::ignore().chance(0.3));
            let mut of_a = Vec::new();
            for _ in 0..200 {
                for host in hosts {
                    let met = faults.meet(seed, &asked(host, "g", "start")).len();
                    if *host == "a" {
                        of_a.push(met);
                    }
                }
            }
            of_a
        };
        let alone = drawn(5, &["a"]);
        assert_eq!(alone, drawn(5, &["b", "a", "c"]));
        assert_ne!(alone, drawn(6, &["a"]));
        let hits: usize = alone.iter().sum();
        assert!((30..90).contains(&hits), "{hits} of 200 with a chance of 0.3");
    }
}
