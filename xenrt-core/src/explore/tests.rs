use super::{Exploration, Found, Guests, Program, Step, Verb, explore};
use crate::model::{Ability, GuestKind};
use crate::sequencer::{CancelHandle, CancelReason};
use crate::sim::{Defect, SimLab, SimLabBuilder, SimTiming, virtual_time};

fn lab() -> SimLabBuilder {
    SimLab::builder().timing(SimTiming::realistic())
}

fn explored(seed: u64, steps: usize, defect: Option<Defect>) -> Found {
    let hosts = || async {
        let lab = defect.map_or_else(lab, |defect| lab().defect(defect));
        Ok(lab.build().hosts())
    };
    let found = virtual_time(explore(Exploration::new(seed, steps).guests(3), hosts));
    found.expect("a runtime can be made").expect("simulated hosts can be had")
}

#[test]
fn nothing_is_wrong_with_a_sound_toolstack() {
    for seed in 0..20 {
        let found = explored(seed, 150, None);
        assert!(found.failure.is_none(), "{found}");
        assert!(found.steps > 100, "only {} steps were legal", found.steps);
    }
}

#[test]
fn connections_that_come_back_are_no_false_alarm() {
    let lab = lab().build();
    let cut = lab.clone();
    let exploration = Exploration::new(11, 200).cutting_connections(move |host| {
        let _ = cut.cut_connection(host, std::time::Duration::from_secs(20));
    });
    let program = Program::draw(11, 200, 3, &lab.hosts(), &[]);
    assert!(program.steps.iter().any(|step| step.verb == Verb::CutConnection));
    let hosts = || async { Ok(lab.hosts()) };
    let found = virtual_time(explore(exploration, hosts)).unwrap().unwrap();
    assert!(found.failure.is_none(), "{found}");
}

#[test]
fn an_exploration_that_is_cancelled_leaves_nothing() {
    let lab = lab().build();
    let cancel = CancelHandle::new();
    let asked = cancel.clone();
    let exploration = Exploration::new(3, 300).cancelled_by(cancel).on_step(move |number, _| {
        if number == 50 {
            asked.cancel(CancelReason::CtrlC);
        }
    });
    let found = virtual_time(async {
        let found = explore(exploration, || async { Ok(lab.hosts()) }).await.unwrap();
        for host in lab.hosts() {
            assert!(host.guests().await.unwrap().is_empty());
        }
        found
    });
    let found = found.unwrap();
    assert_eq!((found.steps, found.cancelled, &found.failure), (50, true, &None), "{found}");
}

#[test]
fn vcpus_that_are_ignored_are_found_and_the_program_is_short() {
    let found = explored(7, 300, Some(Defect::VcpusIgnoredAboveOne));
    let failure = found.failure.as_ref().unwrap();
    let verbs: Vec<Verb> = failure.program.steps.iter().map(|step| step.verb).collect();
    assert_eq!(verbs.len(), 3, "{found}");
    assert_eq!(verbs[..2], [Verb::Create, Verb::Start], "{found}");
    assert!(matches!(verbs[2], Verb::SetVcpus(2..)), "{found}");
}

#[test]
fn many_defects_are_found_by_their_own_verb() {
    let planted = [
        (Defect::SuspendLeavesDomain, Verb::Suspend),
        (Defect::PauseHiddenFromHypervisor, Verb::Pause),
        (Defect::RenameHiddenFromHypervisor, Verb::Rename),
        (Defect::MigrateLosesVif, Verb::Migrate),
        (Defect::DiskHotplugNotSeen, Verb::AttachDisk),
        (Defect::VifDetachesFirst, Verb::DetachVif),
        (Defect::DeleteLeavesDefinition, Verb::Delete),
        (Defect::PowerOffIgnored, Verb::PowerOff),
        (Defect::ResetIgnored, Verb::Reset),
    ];
    for (defect, verb) in planted {
        let failing = (0..10).find_map(|seed| explored(seed, 200, Some(defect)).failure);
        let failure = failing.unwrap_or_else(|| panic!("{defect:?} was not found"));
        let last = failure.program.steps.last().map(|step| step.verb);
        assert_eq!(last, Some(verb), "{defect:?}: {}{}", failure.program, failure.message);
        assert!(failure.program.steps.len() <= 5, "{defect:?}:\n{}", failure.program);
    }
}

#[test]
fn the_same_seed_draws_the_same_program() {
    let hosts = lab().build().hosts();
    let draw = |seed| Program::draw(seed, 100, 3, &hosts, &[Verb::CutConnection]);
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

/// The file is compiled by a test of the facade, so that what is printed is ready to compile.
#[test]
fn a_program_is_printed_as_a_test_that_compiles() {
    let verbs = [
        Verb::Create,
        Verb::Start,
        Verb::AttachVif,
        Verb::AttachDisk,
        Verb::DetachDisk,
        Verb::SetMemory(64),
        Verb::SetVcpus(2),
        Verb::Migrate,
        Verb::Rename,
        Verb::Reboot,
        Verb::CutConnection,
        Verb::PowerOff,
        Verb::Delete,
    ];
    let steps = verbs.map(|verb| Step { guest: 0, verb }).to_vec();
    let guests = Guests { kind: Some(GuestKind::Pv), most_vcpus: 2 };
    let text =
        Program { steps }.to_test_case(7, "g0 Delete failed: it is still there", "tiny", guests);
    let expected = include_str!("../../../tests/ui/pass/explored.rs");
    assert_eq!(text + "\nfn main() {}\n", expected);
}

/// A kind that a host does not run, or the image is none of, would leave nothing to explore.
#[test]
fn a_kind_that_cannot_be_is_an_error_and_not_a_program_without_a_fault() {
    let lab = || SimLab::builder().without(Ability::Pvh, "it has no hardware for them").build();
    let tried = |kind| {
        let exploration = Exploration::new(1, 20).kind(kind);
        virtual_time(explore(exploration, || async { Ok(lab().hosts()) })).unwrap()
    };
    let error = tried(GuestKind::Pvh).unwrap_err().to_string();
    assert!(error.contains("it has no hardware for them"), "{error}");
    let found = tried(GuestKind::Pv).unwrap();
    assert_eq!((found.steps, found.failure), (20, None));
}
