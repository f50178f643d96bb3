//! How something is made to go wrong.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use xenrt::sim::{Defect, Fault, SimAnswer, SimLab, SimLabBuilder};

/// What goes wrong on the simulated hosts.
#[derive(Clone, Copy)]
pub(crate) enum Plant {
    /// A behaviour is broken for good.
    Defect(Defect),
    /// Calls go wrong: what this is called, and the faults.
    Faults(&'static str, fn() -> Vec<Fault>),
    /// From the moment at which a command with this text is given, calls go wrong.
    When(&'static str, &'static str, fn() -> Fault),
    /// A shell answers otherwise than it should.
    Answer(&'static str, fn(&SimLab)),
}

/// What it is, in the table of the documentation.
impl fmt::Display for Plant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defect(defect) => f.write_str(defect.description()),
            Self::Faults(what, _) | Self::When(what, ..) | Self::Answer(what, _) => {
                f.write_str(what)
            }
        }
    }
}

impl Plant {
    pub(crate) fn into_builder(self, builder: SimLabBuilder) -> SimLabBuilder {
        match self {
            Self::Defect(defect) => builder.defect(defect),
            _ => builder,
        }
    }

    pub(crate) fn into_lab(self, lab: &SimLab) {
        match self {
            Self::Defect(_) => {}
            Self::Faults(_, faults) => faults().into_iter().for_each(|fault| {
                lab.inject(fault);
            }),
            Self::When(_, text, fault) => {
                let (own, fault) = (lab.clone(), Mutex::new(Some(fault)));
                lab.answer(move |_, line| {
                    if line.contains(text)
                        && let Some(fault) = fault.lock().unwrap().take()
                    {
                        own.inject(fault());
                    }
                    None
                });
            }
            Self::Answer(_, teach) => teach(lab),
        }
    }
}

/// What real hosts know and simulated ones do not: stress-ng, and filters that cut a host off.
pub(crate) fn teach(lab: &SimLab) {
    crate::wires::teach(lab);
    crate::beyond::teach(lab);
    crate::room::teach(lab, false);
    crate::schedule::teach(lab, crate::schedule::Broken::Nothing);
    let own = lab.clone();
    lab.answer(move |place, line| {
        let away = match line {
            line if line.contains("reject with tcp reset") => Duration::from_secs(3600),
            line if line.contains("delete table inet") => Duration::ZERO,
            _ => return None,
        };
        for other in own.hosts().iter().filter(|host| host.name() != place.host) {
            own.cut_connection(other.name(), away).unwrap();
        }
        None
    });
    lab.answer(|_, line| match line {
        line if line.starts_with("command -v stress-ng") => {
            Some(SimAnswer::text("/usr/bin/stress-ng\n"))
        }
        line if line.starts_with("stress-ng") => stress_ng("info: "),
        _ => None,
    });
}

/// The answer of iperf at so many bytes a second.
pub(crate) fn iperf(bytes: u64) -> Option<SimAnswer> {
    let (sent, bits) = (bytes * 5, bytes * 8);
    let line = format!("20261126120000,10.1.0.0,40000,10.0.0.1,5001,1,0.0-5.0,{sent},{bits}\n");
    Some(SimAnswer::text(line).taking(Duration::from_secs(5)))
}

/// The answer of stress-ng, with a line of this severity.
pub(crate) fn stress_ng(severity: &str) -> Option<SimAnswer> {
    let text = format!(
        "stress-ng: {severity} [4242] cpu: something about the cpu stressor\n\
         stress-ng: metrc: [4242] cpu  4012  60.00  119.00  0.00  66.87  33.71\n"
    );
    Some(SimAnswer::text(text).taking(Duration::from_secs(60)))
}

/// xenstored keeps 1 MiB each time that somebody looks.
pub(crate) fn growing_xenstored(lab: &SimLab) {
    let looks = AtomicU64::new(0);
    lab.answer(move |_, line| {
        line.ends_with("/proc/[0-9]*/status").then(|| {
            let look = looks.fetch_add(1, Ordering::Relaxed);
            let kib = 4200 + 1024 * look;
            let sshd = 7000 + look * 31 % 7 * 40;
            SimAnswer::text(format!(
                "/proc/310/status:Name:\txenstored\n/proc/310/status:VmRSS:\t{kib} kB\n\
                 /proc/420/status:Name:\tsshd\n/proc/420/status:VmRSS:\t{sshd} kB\n"
            ))
        })
    });
}

/// What one guest wrote is on the disks of the next.
pub(crate) fn dirty_disks(lab: &SimLab) {
    let writes = AtomicU64::new(0);
    lab.answer(move |_, line| {
        if line.starts_with("dd of=") {
            writes.fetch_add(1, Ordering::Relaxed);
        }
        let dirty = writes.load(Ordering::Relaxed) >= 3 && line.starts_with("dd if=");
        dirty.then(|| SimAnswer::text(vec![0x41; 64 * 4096]))
    });
}

/// The clocks of guests are an hour ahead.
pub(crate) fn fast_clocks(lab: &SimLab) {
    lab.answer(|place, line| {
        (place.guest.is_some() && line == "date '+%s'" || line == "date +%s")
            .then_some(place)
            .filter(|place| place.guest.is_some())
            .map(|_| SimAnswer::text("1750099999\n"))
    });
}

/// A ping that needs more than one packet of 1500 bytes has no answer.
pub(crate) fn large_ping_lost(here: bool, line: &str) -> Option<SimAnswer> {
    let mut words = line.split_whitespace();
    let bytes: u32 = words.by_ref().skip_while(|word| *word != "-s").nth(1)?.parse().ok()?;
    (here && line.starts_with("ping ") && bytes > 1472).then(|| {
        let lost = "3 packets transmitted, 0 received, 100% packet loss\n";
        SimAnswer::failure(1, lost)
    })
}

/// Once the storage under a disk fails, reads of the guest succeed.
pub(crate) fn failure_hidden(lab: &SimLab) {
    let failing = AtomicBool::new(false);
    lab.answer(move |place, line| {
        if line.starts_with("dmsetup load") && line.contains(" error") {
            failing.store(true, Ordering::Relaxed);
        }
        let reads = place.guest.is_some() && line.contains("dd if=");
        (reads && failing.load(Ordering::Relaxed)).then(SimAnswer::success)
    });
}
