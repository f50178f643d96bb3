//! Xen's scheduler as `xl` in dom0 shows it: pins, weights and caps, and what busy domains get of the
//! processors. Simulated hosts have processor time and no scheduler.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use xenrt::sim::{SimAnswer, SimLab};

/// What does not happen that should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    Nothing,
    Pins,
    Weights,
    Caps,
}

#[derive(Debug)]
struct Domain {
    pin: Option<u32>,
    weight: f64,
    cap: f64,
    used: f64,
    /// Until when its time is counted; it is taken to be busy from then on.
    since: Instant,
}

type Domains = BTreeMap<String, Domain>;

/// Counts the time of all domains until now.
fn advance(domains: &mut Domains) {
    let now = Instant::now();
    let weights = |pin| {
        let beside = domains.values().filter(|own| own.pin == pin);
        beside.map(|own| own.weight).sum::<f64>()
    };
    let shares: Vec<f64> = domains
        .values()
        .map(|own| match own.pin {
            Some(pin) => own.weight / weights(Some(pin)),
            None => 1.0,
        })
        .collect();
    for (domain, share) in domains.values_mut().zip(shares) {
        let most = if domain.cap == 0.0 { 1.0 } else { domain.cap };
        domain.used += (now - domain.since).as_secs_f64() * share.min(most);
        domain.since = now;
    }
}

fn answer(domains: &mut Domains, line: &str, broken: Broken) -> Option<SimAnswer> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.as_slice() == ["xl", "info"] {
        return Some(SimAnswer::text("host : h0\nxen_scheduler          : credit2\n"));
    }
    if words.as_slice() == ["xl", "sched-credit2", "-d", "0"] {
        return Some(SimAnswer::text("Name  ID Weight  Cap\nDomain-0  0    256    0\n"));
    }
    let id = match words.as_slice() {
        ["xl", "vcpu-pin" | "vcpu-list", id, ..] | ["xl", "sched-credit2", "-d", id, ..] => *id,
        _ => return None,
    };
    advance(domains);
    let domain = domains.entry(id.to_owned()).or_insert_with(|| Domain {
        pin: None,
        weight: 256.0,
        cap: 0.0,
        used: 0.0,
        since: Instant::now(),
    });
    match words.as_slice() {
        [_, "vcpu-pin", _, "all", to] => domain.pin = to.parse().ok(),
        [.., "-w", weight] if broken != Broken::Weights => domain.weight = weight.parse().ok()?,
        [.., "-c", cap] if broken != Broken::Caps => domain.cap = cap.parse::<f64>().ok()? / 100.0,
        [_, "vcpu-list", ..] => {
            let affinity = domain.pin.map_or("all".to_owned(), |pin| pin.to_string());
            let on = if broken == Broken::Pins { 1 } else { domain.pin.unwrap_or(0) };
            return Some(SimAnswer::text(format!(
                "Name  ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n\
                 guest {id} 0 {on} r-- {:.1} {affinity} / all\n",
                domain.used
            )));
        }
        _ => {}
    }
    Some(SimAnswer::success())
}

/// Teaches a lab all of it.
pub(crate) fn teach(lab: &SimLab, broken: Broken) {
    let hosts: Mutex<BTreeMap<String, Domains>> = Mutex::default();
    lab.answer(move |place, line| {
        let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let domains = place.guest.is_none().then(|| hosts.entry(place.host.to_owned()))?;
        answer(domains.or_default(), line, broken)
    });
}
