//! Everything at once, as the documentation of the walk promises it.

use std::sync::Arc;
use std::time::Duration;

use xenrt_core::model::GuestSpec;
use xenrt_core::sequencer::{CancelHandle, ExitCode};
use xenrt_core::testcase::TestError;

use crate::support::{
    FakeLab, blocker, finally, host_step, parallel, run_plan, serial, test, with,
};

#[tokio::test(start_paused = true)]
async fn nested_blocks_with_a_blocker_a_flaky_test_a_hang_a_panic_and_a_leak() {
    let mut hangs = case!("t.hangs", |_cx| { std::future::pending().await });
    hangs.timeout = Some(Duration::from_secs(30));
    let tests = vec![
        case!("t.passes", |cx| {
            cx.default_host()?;
            Ok(())
        }),
        case!("t.fails", |_cx| { Err(TestError::product("the product is wrong")) }),
        case!("t.flaky", |cx| {
            if cx.attempt() == 1 { Err(TestError::product("once")) } else { Ok(()) }
        }),
        hangs,
        case!("t.panics", |_cx| { panic!("a bug in the test") }),
        case!("t.leaks", |cx| {
            cx.default_host()?.define_guest(&GuestSpec::new("stray")).await?;
            Ok(())
        }),
    ];
    let named = |id: &str, name: &str| with(test(id), |test| test.name = Some(name.into()));
    let steps = vec![
        parallel(
            Some(2),
            [
                finally(
                    serial([
                        test("t.passes"),
                        blocker(test("t.fails")),
                        named("t.passes", "blocked by the blocker"),
                    ]),
                    [named("t.passes", "finally, inside")],
                ),
                serial([with(test("t.flaky"), |test| test.retries = Some(1)), test("t.hangs")]),
            ],
        ),
        serial([test("t.panics"), named("t.passes", "after the panic")]),
        test("t.leaks"),
        finally(
            serial([blocker(serial([blocker(test("t.fails")), named("t.passes", "inner")]))]),
            [named("t.passes", "finally, outside")],
        ),
    ];
    let lab = Arc::new(FakeLab::of(&["alpha", "beta"]));
    let hosts = vec![host_step(0, None, &[]), host_step(1, None, &[])];
    let outline = run_plan(tests, hosts, steps, CancelHandle::new(), |options| {
        options.provider = Some(lab);
    })
    .await;
    insta::assert_snapshot!(outline.outcomes().join("\n"));
    assert_eq!(outline.report.exit_code, ExitCode::Failed);
    let summary = outline.report.summary;
    assert_eq!((summary.flaky, summary.leaked), (1, 1));
}
