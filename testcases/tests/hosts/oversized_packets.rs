//! network.hfx745 on a real Xen host of the virtual lab: it passes, and it turns red when dom0's
//! bridge goes down in the middle of it.

use std::sync::Arc;

use tokio::sync::mpsc;
use xenrt::prelude::*;
use xenrt::sequencer::ExitCode;
use xenrt::testcase::Outcome;

use super::lab::{OpenLab, run_hfx745};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_and_a_broken_bridge_turns_it_red() {
    let folder = tempfile::tempdir().unwrap();
    let (steps, _) = mpsc::unbounded_channel();
    let report = run_hfx745(Arc::default(), folder.path(), steps).await;
    assert_eq!(report.exit_code, ExitCode::AllPassed, "{:?}", report.results);
    assert_eq!(report.results[0].marks.leaked, [] as [String; 0]);

    let folder = tempfile::tempdir().unwrap();
    let lab = Arc::new(OpenLab::default());
    let (steps, mut heard) = mpsc::unbounded_channel::<String>();
    let saboteur = tokio::spawn({
        let lab = Arc::clone(&lab);
        async move {
            while let Some(step) = heard.recv().await {
                if step.starts_with("Send small and oversized") {
                    let host = lab.host();
                    let down = Command::new("ip").args(["link", "set", "xenbr0", "down"]);
                    return host.dom0().run(&down).await.is_ok();
                }
            }
            false
        }
    });
    let report = run_hfx745(lab, folder.path(), steps).await;
    assert!(saboteur.await.unwrap(), "the bridge was not taken down");
    let result = &report.results[0];
    let Outcome::Failed { message, .. } = &result.outcome else { panic!("{result:?}") };
    assert!(message.contains("lost connectivity"), "{message}");
    assert_eq!(report.exit_code, ExitCode::Failed);
    assert_eq!(result.marks.leaked, [] as [String; 0]);

    let evidence = folder.path().join("tests/000-hfx745");
    let text = |file: &str| std::fs::read_to_string(evidence.join(file)).unwrap();
    assert!(text("xenhost1/xl-dmesg.txt").contains("Xen"));
    assert!(text("xenhost1/dmesg.txt").contains("xenbr0"));
    assert!(text("hfx745-tiny-console.txt").contains("up"));
    assert!(text("commands.log").contains("iperf"));
    // Nothing need be said on it since the host was restored.
    assert!(evidence.join("lab/xenhost1-serial.log").exists());
}
