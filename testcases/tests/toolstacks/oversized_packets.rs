//! network.hfx745: it passes on what is sound, is red where netback disconnects its guest, and is no
//! pass where its premise did not hold.

use std::sync::Arc;

use xenrt::sequencer::{ExitCode, RunReport};
use xenrt::sim::{NetbackFault, SimAnswer, SimLab, SimTiming, virtual_time};
use xenrt::testcase::Outcome;
use xenrt_xapi::double::World;

use crate::lab::{Values, XapiLab, hfx745};

/// A run, what it measured, and the names of the files that it left.
struct Ran {
    report: RunReport,
    values: Values,
    evidence: Vec<String>,
}

impl Ran {
    fn outcome(&self) -> &Outcome {
        &self.report.results[0].outcome
    }

    /// It is what it is for: what crossed the VIF was small and large, and it passed.
    fn is_sound(&self) {
        assert_eq!(self.report.exit_code, ExitCode::AllPassed, "{:?}", self.report.results);
        assert_eq!(self.report.results[0].marks.leaked, [] as [String; 0]);
        let value = |name: &str| self.values.get(name).unwrap();
        assert!(value("small packets on the VIF") >= 60.0);
        assert!(value("large packets on the VIF") >= 1.0);
        assert!(value("longest packet on the VIF") >= 28.0 * 1024.0);
        assert!((value("announced MSS") - 60.0).abs() < 0.5, "an MTU of 100 less its headers");
        assert!(
            self.evidence.iter().any(|file| file.ends_with("round1.pcap")),
            "{:?}",
            self.evidence
        );
    }

    /// It found that the guest was lost, and left nothing all the same.
    fn is_red(&self) {
        let Outcome::Failed { message, .. } = self.outcome() else {
            panic!("{:?}", self.outcome())
        };
        assert!(message.contains("the guest lost connectivity"), "{message}");
        assert_eq!(self.report.exit_code, ExitCode::Failed);
        assert_eq!(self.report.results[0].marks.leaked, [] as [String; 0]);
    }

    /// It errs, and does not say that the product is right.
    fn says_nothing_because(&self, of: &str) {
        let Outcome::Errored { message, .. } = self.outcome() else {
            panic!("{:?}", self.outcome())
        };
        assert!(message.contains("did not do what it is for"), "{message}");
        assert!(message.contains(of), "{message}");
    }
}

fn files_of(folder: &std::path::Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join("tests/000-hfx745")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn run_on_xapi(fault: Option<NetbackFault>) -> (XapiLab, Ran) {
    let mut world = World::small();
    world.set_netback(fault);
    let lab = XapiLab::start(&world);
    let folder = tempfile::tempdir().unwrap();
    let values = Values::default();
    let run = hfx745(lab.provider(), folder.path(), values.clone());
    let report = xenrt::block_on(run).unwrap();
    (lab, Ran { report, values, evidence: files_of(folder.path()) })
}

fn run_on_sim(fault: Option<NetbackFault>) -> Ran {
    let mut builder = SimLab::builder().hosts(1).timing(SimTiming::realistic());
    if let Some(fault) = fault {
        builder = builder.netback(fault);
    }
    run_on(builder.build())
}

fn run_on(lab: SimLab) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let values = Values::default();
    let run = hfx745(Arc::new(lab), folder.path(), values.clone());
    let report = virtual_time(run).unwrap();
    Ran { report, values, evidence: files_of(folder.path()) }
}

pub(crate) fn on_xapi() {
    let (lab, ran) = run_on_xapi(None);
    ran.is_sound();
    // Nothing is left in the world but what it began with.
    let count = |class: &'static str| lab.double.look(|world| world.all(class).count()).unwrap();
    assert_eq!((count("vm"), count("vif"), count("vbd")), (3, 0, 0));
}

pub(crate) fn broken_on_xapi() {
    run_on_xapi(Some(NetbackFault::DisconnectsOversized)).1.is_red();
}

pub(crate) fn premise_on_xapi() {
    let (_, ran) = run_on_xapi(Some(NetbackFault::NoOffload));
    ran.says_nothing_because("no packet of 28672 bytes or more was offered");
    let (_, ran) = run_on_xapi(Some(NetbackFault::DropsFragments));
    ran.says_nothing_because("only 0 small packets crossed the VIF");
}

pub(crate) fn on_sim() {
    run_on_sim(None).is_sound();
}

pub(crate) fn broken_on_sim() {
    run_on_sim(Some(NetbackFault::DisconnectsOversized)).is_red();
}

pub(crate) fn premise_on_sim() {
    run_on_sim(Some(NetbackFault::NoOffload)).says_nothing_because("no packet of 28672 bytes");
    run_on_sim(Some(NetbackFault::DropsFragments)).says_nothing_because("only 0 small packets");
}

/// A dom0 without the program says nothing of the network.
pub(crate) fn no_ping_on_sim() {
    let lab = SimLab::builder().hosts(1).timing(SimTiming::realistic()).build();
    lab.answer(|place, line| {
        (place.guest.is_none() && line.starts_with("ping "))
            .then(|| SimAnswer::failure(127, "sh: 1: ping: not found\n"))
    });
    let ran = run_on(lab);
    let Outcome::Errored { message, .. } = ran.outcome() else { panic!("{:?}", ran.outcome()) };
    assert!(message.contains("ping"), "{message}");
    assert_eq!(ran.report.results[0].marks.leaked, [] as [String; 0]);
}
