//! network.hfx745, as it is, where no guest can be logged into: it is skipped, it says why, and it
//! leaves nothing.

use std::sync::Arc;

use xenrt_core::lab::LabFileProvider;
use xenrt_core::sequencer::{CancelHandle, ExitCode, Plan, RunOptions, run};
use xenrt_core::testcase::{Outcome, Registry};
use xenrt_libvirt::LibvirtToolstack;
use xenrt_testcases as _;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_needs_a_login_says_that_nothing_runs() {
    let world = World::new().await;
    let text = include_str!("../../../testcases/sequences/hfx745.seq");
    let sequence = xenrt_core::sequence::parse(text, "hfx745.seq").unwrap();
    let plan = Plan::new(&sequence, &Registry::global().unwrap()).unwrap();
    let lab =
        LabFileProvider::new(world.lab(), "lab.toml", vec![Arc::new(LibvirtToolstack::new())]);
    let folder = tempfile::tempdir().unwrap();
    let options = RunOptions::new(folder.path()).provider(Arc::new(lab));
    let report = run(plan, options, CancelHandle::new()).await;
    let result = &report.results[0];
    let Outcome::Skipped { reason } = &result.outcome else { panic!("{result:?}") };
    assert!(reason.contains("none of their code is carried out"), "{reason}");
    assert_eq!(report.exit_code, ExitCode::NothingRan);
    assert_eq!(result.marks.leaked, [] as [String; 0]);
}
