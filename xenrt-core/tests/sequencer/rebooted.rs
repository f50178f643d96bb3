//! A reboot of a host belongs to the test in which it happened.

use std::sync::Arc;

use xenrt_core::remote::{Command, ShellExt as _};
use xenrt_core::sequencer::CancelHandle;
use xenrt_core::sim::{SimLab, SimTiming};
use xenrt_core::testcase::TestDescriptor;

use crate::support::{host_step, run_plan, test};

fn tests() -> Vec<TestDescriptor> {
    vec![
        case!("t.reboots", |cx| {
            cx.default_host()?.reboot().await?;
            Ok(())
        }),
        case!("t.fails", |cx| {
            cx.default_host()?.dom0().run(&Command::new("false")).await?;
            Ok(())
        }),
        case!("t.reboots_and_fails", |cx| {
            let host = cx.default_host()?;
            host.reboot().await?;
            host.dom0().run(&Command::new("false")).await?;
            Ok(())
        }),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_test_that_passed_leaves_its_reboot_to_nobody() {
    let names = ["t.fails", "t.reboots", "t.fails", "t.reboots_and_fails", "t.fails"];
    let steps = names.iter().map(|name| test(name)).collect();
    let outline =
        run_plan(tests(), vec![host_step(0, None, &[])], steps, CancelHandle::new(), |options| {
            let lab = SimLab::builder().timing(SimTiming::realistic()).build();
            options.provider = Some(Arc::new(lab));
        })
        .await;
    let told: Vec<bool> = outline
        .outcomes()
        .iter()
        .map(|outcome| outcome.contains("rebooted while the test ran"))
        .collect();
    assert_eq!(told, [false, false, false, true, false], "{:#?}", outline.outcomes());
}
